"""Gates of very many clips: the numbers that all features at once give, without holding them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import corpus as module
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric


class Stored:
    """A worker whose store holds the features of every clip but some; counts how many it holds at once."""

    digest = staticmethod(digest_file)

    def __init__(self, without: str = "", threads: int = 1) -> None:
        self.without, self.threads = without, threads

    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        for unit in units:
            path = unit.values["video"]
            number = int(path.rpartition("/")[2])
            rows = np.random.default_rng(number).normal(size=(1, 37)) * np.linspace(0.1, 3.0, 37) + 50.0
            lost = Outcome(MetricResult.failed("", "not in the store"))
            yield [lost if path == self.without else Outcome(rows=rows + (0.3 if "cand" in path else 0.0))]

    def weights(self, metric: BaseMetric) -> dict[str, str]:
        return {}


def corpus(n: int, m: int) -> Corpus:
    return Corpus(
        tuple(Sample(f"s{i:03d}", {"video": f"cand/{i}"}) for i in range(n)),
        tuple(Sample(f"r{i:03d}", {"video": f"ref/{1000 + i}"}, "reference") for i in range(m)),
    )


def alike(streamed: CorpusScore, whole: CorpusScore, rel: float) -> None:
    """Compare all that the two say, but for details that only one has."""
    assert (whole.problems, streamed.problems) == ((), ())
    assert streamed.score == pytest.approx(whole.score, rel=rel)
    assert streamed.samples.keys() == whole.samples.keys()
    largest = max(map(abs, whole.samples.values()))
    assert [streamed.samples[id] for id in whole.samples] == pytest.approx(
        list(whole.samples.values()), abs=rel * largest
    )
    unlike = {"details", "score", "samples"}
    assert {name: value for name, value in vars(streamed).items() if name not in unlike} == {
        name: value for name, value in vars(whole).items() if name not in unlike
    }
    for name in whole.details.keys() & streamed.details.keys() - {"p_value"}:
        value = whole.details[name]
        assert streamed.details[name] == (pytest.approx(value, rel=rel) if isinstance(value, float) else value)


def test_a_distance_from_moments_is_that_of_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    metric, clips = registry.get_metric("common.fvd", extractor="motion_energy"), corpus(1200, 700)
    whole = score_corpus(metric, clips, Stored())
    monkeypatch.setattr(module, "LARGE", 100)
    streamed = score_corpus(metric, clips, Stored())
    assert (whole.details.get("reduction"), streamed.details["reduction"]) == (None, "moments")
    assert {"mean_term", "covariance_term", "se", "n_generated", "dimension"} <= streamed.details.keys()
    alike(streamed, whole, rel=1e-6)


def test_a_kernel_distance_by_blocks_is_that_of_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    metric, clips = registry.get_metric("common.kvd", extractor="motion_energy"), corpus(1200, 700)
    whole = score_corpus(metric, clips, Stored())
    monkeypatch.setattr(module, "LARGE", 100)
    streamed, again = (score_corpus(metric, clips, Stored(threads=threads)) for threads in (1, 2))
    assert (whole.details.get("reduction"), streamed.details["reduction"]) == (None, "blocks")
    assert {"se", "p_value", "n_generated", "dimension"} <= streamed.details.keys()
    alike(streamed, whole, rel=1e-9)
    assert again == streamed


@pytest.mark.parametrize("name", ["common.fvd", "common.kvd"])
@pytest.mark.parametrize(("without", "named"), [("cand/7", "s007"), ("ref/1003", "reference r003")])
def test_a_clip_without_features_is_named_and_there_is_no_score(
    without: str, named: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    found = score_corpus(registry.get_metric(name, extractor="motion_energy"), corpus(120, 110), Stored(without))
    assert found.score is None
    assert [(one.sample, one.reason) for one in found.problems] == [(named, "not in the store")]


@pytest.mark.parametrize("name", ["common.kvd", "common.prdc"])
def test_what_needs_all_pairs_compares_a_part_that_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    metric = registry.get_metric(name, extractor="motion_energy")
    monkeypatch.setattr(type(metric), "most_clips", 60)
    found, again = (score_corpus(metric, corpus(150, 90), Stored()) for _ in range(2))
    assert (found.n, found.details["reduction"]) == (60, "subsample")
    assert found.remarks == (f"{name} compares 60 of 150 clips, chosen by their ids, with 60 of 90 references",)
    assert (found.score, found.samples) == (again.score, again.samples)
    # The choice is by id: two clips more change few others.
    more = score_corpus(metric, corpus(152, 90), Stored())
    assert len(found.samples.keys() & more.samples.keys()) >= 58


def test_scores_without_details_make_the_same_corpus_score(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scored(Stored):
        def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
            for unit in units:
                number = int(unit.values["video"].rpartition("/")[2])
                result = MetricResult("m", number / 7, {"per_frame": [number]})
                yield [Outcome(result if number % 50 else MetricResult.failed("m", f"no {number}"))]

    metric = registry.get_metric("vbench.temporal_flickering")
    whole = score_corpus(metric, corpus(200, 0), Scored())
    monkeypatch.setattr(module, "LARGE", 100)
    assert score_corpus(metric, corpus(200, 0), Scored()) == whole
    assert len(whole.problems) == 4
