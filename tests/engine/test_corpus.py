"""What a gate sees of a corpus: its metric's own reduction of the sample scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet

CORPUS = Corpus((Sample("a", {"score": 1.0, "frames": 3}), Sample("b", {"score": 5.0, "frames": 1})))


class Plain(BaseMetric):
    name = "plain"
    requires_reference = False


class ByFrames(Plain):
    def corpus_score(self, results: Mapping[str, MetricResult]) -> float | None:
        frames = {id: int(result.details["frames"]) for id, result in results.items()}
        total = sum(frames.values())
        return sum(frames[id] * (results[id].score or 0.0) for id in results) / total if total else None


class Recorded:
    threads = 1
    digest = staticmethod(digest_file)

    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        for unit in units:
            details = {"frames": unit.values["frames"]}
            yield [Outcome(MetricResult(metric.name, unit.values["score"], details)) for metric in unit.metrics]

    def weights(self, metric: BaseMetric) -> dict[str, str]:
        return {}


def seen(metric: BaseMetric, corpus: Corpus = CORPUS) -> CorpusScore:
    return score_corpus(metric, corpus, Recorded())


def test_the_score_is_the_mean_unless_the_metric_says_otherwise() -> None:
    assert seen(Plain()).score == pytest.approx(3.0)
    assert seen(ByFrames()).score == pytest.approx(2.0)
    assert seen(ByFrames()).samples == {"a": 1.0, "b": 5.0}


def test_an_undefined_corpus_score_is_a_problem() -> None:
    none = Corpus((Sample("a", {"score": 1.0, "frames": 0}),))
    found = seen(ByFrames(), none)
    assert found.score is None
    assert [(problem.sample, problem.status) for problem in found.problems] == [("corpus", "failed")]


def test_no_results_have_no_score() -> None:
    assert Plain().corpus_score({}) is None
    assert seen(Plain(), Corpus(())).score is None


class OfSets(SetMetric):
    name = "sets"
    requires = ("video",)

    def __init__(self, given: Any = None) -> None:
        self.given = given

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        return cast(MetricResult, self.given)


class Rows(Recorded):
    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        for unit in units:
            yield [Outcome(rows=np.ones((1, 3))) for _ in unit.metrics]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            MetricResult("sets", 1.0, {"terms": [np.float32(1)]}),
            "details must hold JSON values: details['terms'][0] is a float32",
        ),
        (0.5, "the metric returned a float, not a MetricResult"),
    ],
)
def test_what_a_set_metric_returns_must_fit_a_report(given: Any, reason: str) -> None:
    clips = tuple(Sample(id, {"video": f"{id}.mp4"}) for id in "ab")
    corpus = Corpus(clips, clips)
    observed = score_corpus(OfSets(given), corpus, Rows())
    assert observed.score is None
    assert reason in [problem.reason for problem in observed.problems]


class Reads(Plain):
    requires = ("video", "text_prompt")
    reads = ("image_path",)
    requires_reference = True


def test_what_clips_were_scored_with_is_known_by_clip_and_holds_no_name(tmp_path: Path) -> None:
    def inputs(metric: BaseMetric, folder: str = "one", **change: str) -> Mapping[str, str]:
        texts = {"video": "v", "reference": "r", "image_path": "i"} | change
        paths = {key: tmp_path / folder / key for key in texts if key != "text_prompt"}
        values: dict[str, Any] = {"score": 1.0, "frames": 1, "text_prompt": texts.get("text_prompt", "a dog")}
        for key, path in paths.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[key])
            values[key] = str(path)
        return seen(metric, Corpus((Sample("a", values), CORPUS.samples[1]))).inputs

    first = inputs(Reads())
    assert first.keys() == {"a", "b"}
    assert inputs(Reads(), "two", video="another candidate") == first
    for key in ("reference", "image_path", "text_prompt"):
        assert inputs(Reads(), f"with {key}", **{key: "other"})["a"] != first["a"], key
    assert inputs(Plain(), reference="not read") == inputs(Plain())
