"""One engine: whoever asks, over whatever store, computed or found again, the answers are the same bit for bit.

Each case is scored as gates do (samples of a corpus, one by one, then each metric's corpus score) and as scripts do
(:meth:`Evaluator.evaluate`), in memory and over files, and once more from what was stored.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, NoAudioStreamError, UnavailableError
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.types import MetricResult, Video
from pytest_vidmetrics.engine.ahead import Lookahead
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.store import FileStore, MemoryStore, Store
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.fvd import FVD
from pytest_vidmetrics.metrics.composite import CompositeMetric, is_composite
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from tests.support.clips import scene, write_clip

NONE_FOUND = "there is no score"
SCRIPT_ONLY = ("failed", "failed_samples")
"""What a script is told beside a score, and a gate as problems."""


@dataclass
class Answer:
    """What one face says: results by sample and metric, scores of the corpus, and what influences them."""

    results: dict[str, dict[str, MetricResult]] = field(default_factory=dict)
    scores: dict[str, float | None] = field(default_factory=dict)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    influence: dict[str, dict[str, float]] = field(default_factory=dict)


Samples = Sequence[Mapping[str, Any]]
Params = Mapping[str, Mapping[str, Any]]
MakeStore = Callable[[], Store]


def as_gates(names: Sequence[str], samples: Samples, store: Store, params: Params) -> Answer:
    """Score as scoring items and gates do."""
    made = {name: registry.get_metric(name, **params.get(name, {})) for name in names}
    parts = {part for name in names if is_composite(name) for part in registry.metric_class(name).parts}  # type: ignore[attr-defined]
    metrics = [metric for metric in made.values() if not isinstance(metric, CompositeMetric)]
    metrics += [registry.get_metric(part) for part in sorted(parts - set(names))]
    sets = [metric for metric in metrics if metric.is_set_metric]
    generated, references, jobs = [], [], []
    for values in samples:
        id, role = values["id"], values.get("role", "generated")
        bare = {key: value for key, value in values.items() if key not in ("id", "role")}
        sample = Sample(id, bare, role)
        units = [Unit(bare, metrics if role == "generated" else sets)]
        if role == "reference":
            references.append(sample)
        else:
            generated.append(sample)
            if sets and values.get("reference") is not None:
                references.append(Sample(id, {"video": values["reference"]}, "reference", paired=True))
                units.append(Unit(references[-1].values, sets))
        jobs.append(Job(tuple(units)))
    corpus = Corpus(tuple(sorted(generated, key=_id)), tuple(sorted(references, key=_id)))
    worker = EvalWorker(store)
    ahead, answer = Lookahead(worker), Answer()
    ahead.announce(jobs)
    try:
        for values, job in zip(samples, jobs, strict=True):
            found = answer.results.setdefault(values["id"], {})
            for unit, outcomes in zip(job.units, ahead.run(job), strict=True):
                for metric, outcome in zip(unit.metrics, outcomes, strict=True):
                    if outcome.result is not None:
                        found.setdefault(metric.name, outcome.result)
    finally:
        ahead.close()
    for name, metric in made.items():
        members = {part: registry.get_metric(part) for part in getattr(metric, "parts", ())}
        score = score_corpus(metric, corpus, worker, members=members)
        if metric.is_set_metric or members:
            answer.scores[name] = score.score
            answer.details[name] = dict(score.details)
            answer.influence[name] = dict(score.samples) if metric.is_set_metric else {}
    return answer


def as_scripts(names: Sequence[str], samples: Samples, store: Store, params: Params) -> Answer:
    """Score as scripts, fixtures and ``vidmetrics score`` do."""
    with Evaluator(list(names), "cpu", metric_kwargs=params, store=store, loader_threads=2) as evaluator:
        found = evaluator.evaluate([dict(sample) for sample in samples])
    answer = Answer({sample["id"]: dict(one) for sample, one in zip(samples, found, strict=True)})
    for name, result in found.corpus.items():
        details = {key: value for key, value in result.details.items() if key not in SCRIPT_ONLY}
        answer.scores[name] = result.score
        answer.influence[name] = details.pop("influence", {})
        answer.details[name] = details if result.score is not None else {}
    return answer


def _id(sample: Sample) -> str:
    return sample.id


FACES = {"gates": as_gates, "scripts": as_scripts}


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Answer]:
    """Return a function that asks every face over every kind of store, twice, and checks that all say the same."""

    def every(
        names: Sequence[str],
        samples: Samples,
        params: Params | None = None,
        runs: Sequence[str] = ("computed", "found"),
    ) -> Answer:
        answers: dict[str, Answer] = {}
        for face, score in FACES.items():
            for kind in ("memory", "files"):
                store = MemoryStore() if kind == "memory" else FileStore(tmp_path / face)
                for run in runs:
                    answers[f"{face}, {kind}, {run}"] = score(names, samples, store, params or {})
        first, *others = answers
        for other in others:
            _same(answers[first], answers[other], f"{first} and {other}")
        return answers[first]

    return every


def _same(one: Answer, other: Answer, which: str) -> None:
    assert _without_traces(one) == _without_traces(other), which
    assert one.scores == other.scores, which
    scored = [name for name, score in one.scores.items() if score is not None]
    for name in scored:
        assert one.details[name] == other.details[name], which
        assert _clips(one, name) == _clips(other, name), which


def _clips(answer: Answer, name: str) -> dict[str, float]:
    """Return the influences on a score; a script is not told of influences that the metric does not give."""
    return {id: value for id, value in answer.influence[name].items() if value}


def _without_traces(answer: Answer) -> dict[str, dict[str, tuple[Any, ...]]]:
    def plain(one: MetricResult) -> tuple[Any, ...]:
        details = {key: value for key, value in one.details.items() if key != "traceback"}
        return one.name, one.status, one.score, details

    return {id: {name: plain(one) for name, one in found.items()} for id, found in answer.results.items()}


@pytest.fixture(autouse=True)
def _defined(metrics: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))

    @register("part.mean")
    class Mean(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            assert not torch.is_grad_enabled()
            levels = sample["video"].flatten(1).mean(dim=1)
            return MetricResult(self.name, float(levels.mean()), {"per_frame": tuple(levels.tolist())})

    @register("part.distance")
    class Distance(BaseMetric):
        pixels: ClassVar[Any] = "uint8"

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            gap = sample["video"].double() - sample["reference"].double()
            return MetricResult(self.name, float(gap.square().mean()))

    @register("part.sum")
    class Sum(CompositeMetric):
        parts = ("part.mean", "part.distance")

        def combine(self, scores: Mapping[str, float]) -> float:
            return 3 * scores["part.mean"] - scores["part.distance"] / 7

    register("common.fvd")(FVD)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("clips")
    return {name: str(write_clip(folder / f"{name}.mp4", scene(seed))) for seed, name in enumerate("abcdefgh")}


def pairs(clips: Mapping[str, str]) -> list[dict[str, Any]]:
    names = list("abcd")
    return [{"id": n, "video": clips[n], "reference": clips[chr(ord(n) + 4)]} for n in names]


def test_clip_metrics_set_metrics_and_composites(ask: Callable[..., Answer], clips: dict[str, str]) -> None:
    found = ask(["part.mean", "part.distance", "part.sum", "common.fvd"], pairs(clips), MOTION)
    assert [found.results[id]["part.mean"].status for id in "abcd"] == ["scored"] * 4
    assert None not in found.scores.values()
    assert set(found.influence["common.fvd"]) == set("abcd")


MOTION = {"common.fvd": {"extractor": "motion_energy"}}


def test_the_order_of_the_samples_does_not_count(ask: Callable[..., Answer], clips: dict[str, str]) -> None:
    forward = ask(["common.fvd"], pairs(clips), MOTION)
    backward = ask(["common.fvd"], pairs(clips)[::-1], MOTION)
    _same(forward, backward, "both orders")
    assert forward.details["common.fvd"]["null_floor"] == backward.details["common.fvd"]["null_floor"]


@pytest.mark.parametrize("wrap", ["path", "video", "tensor", "frames"])
def test_however_a_clip_is_given(ask: Callable[..., Answer], clips: dict[str, str], wrap: str) -> None:
    from pytest_vidmetrics.media.video import read_clip

    how: dict[str, Callable[[str], Any]] = {
        "path": Path,
        "video": Video,
        "tensor": lambda path: read_clip(path).frames,
        "frames": lambda path: Video(frames=read_clip(path).frames, fps=12.0),
    }
    given = [{**one, **{key: how[wrap](one[key]) for key in ("video", "reference")}} for one in pairs(clips)]
    names = ["part.mean", "part.distance", "common.fvd"]
    found, plain = ask(names, given, MOTION), ask(names, pairs(clips), MOTION)
    assert _without_traces(found) == _without_traces(plain)
    assert found.scores == plain.scores
    assert found.details == plain.details


@pytest.mark.parametrize("how", ["paired", "streamed", "cached"])
def test_however_references_come(ask: Callable[..., Answer], clips: dict[str, str], tmp_path: Path, how: str) -> None:
    samples = pairs(clips)
    alone = [{"id": one["id"], "video": one["video"]} for one in samples]
    streamed = [{"id": one["id"], "video": one["reference"], "role": "reference"} for one in samples]
    file = str(tmp_path / "references.npz")
    params = {"common.fvd": {"extractor": "motion_energy", "cache_path": file if how == "cached" else None}}
    given = samples if how == "paired" else [*alone, *streamed]
    if how == "cached":
        as_scripts(["common.fvd"], given, MemoryStore(), params)
        given = alone
    if how == "streamed":  # the ids of the two sets are their own
        given = [*alone, *({**one, "id": f"r{one['id']}"} for one in streamed)]
    found = ask(["common.fvd"], given, params)
    plain = ask(["common.fvd"], samples, MOTION)
    assert found.scores == plain.scores
    assert found.influence == plain.influence
    facts = {**plain.details["common.fvd"], "ref_source": "cached" if how == "cached" else "streamed"}
    assert found.details["common.fvd"] == facts


def test_equal_clips_are_equal_rows(ask: Callable[..., Answer], clips: dict[str, str]) -> None:
    generated = [{"id": f"{n}{i}", "video": clips[n]} for n in "abcd" for i in range(2)]
    references = [{"id": f"r{i}", "video": clips[n], "role": "reference"} for i, n in enumerate("eeefg")]
    found = ask(["common.fvd"], [*generated, *references], MOTION)
    facts = found.details["common.fvd"]
    assert (facts["n_generated"], facts["n_reference"]) == (8, 5)
    weighed = found.influence["common.fvd"]
    assert weighed["a0"] == pytest.approx(weighed["a1"], rel=1e-9)


def test_a_missing_key_is_a_skip(ask: Callable[..., Answer], clips: dict[str, str]) -> None:
    found = ask(["part.mean", "part.distance"], [{"id": "a", "video": clips["a"]}])
    assert found.results["a"]["part.mean"].status == "scored"
    assert found.results["a"]["part.distance"] == MetricResult.skipped("part.distance", "the sample has no reference")


def _skip(metric: BaseMetric, sample: Mapping[str, Any]) -> Any:
    return metric._skip(sample, "not for this clip")


def _pytest_skip(metric: BaseMetric, sample: Mapping[str, Any]) -> Any:
    pytest.skip("not here")


def _raise(error: BaseException) -> Callable[..., Any]:
    def fail(metric: BaseMetric, sample: Mapping[str, Any]) -> Any:
        raise error

    return fail


FAULTS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "ImportError": (_raise(ImportError("no such library")), "unavailable", "no such library"),
    "UnavailableError": (_raise(UnavailableError("weights x")), "unavailable", "weights x"),
    "an exception": (_raise(KeyError("k")), "failed", "KeyError: 'k'"),
    "an incompatible sample": (_raise(IncompatibleSampleError("too short")), "failed", "too short"),
    "no sound": (_raise(NoAudioStreamError("mute")), "skipped", "mute"),
    "sys.exit": (_raise(SystemExit(3)), "failed", "SystemExit: 3"),
    "pytest.skip": (_pytest_skip, "failed", "Skipped: not here"),
    "a skip": (_skip, "skipped", "not for this clip"),
    "NaN": (lambda m, s: MetricResult(m.name, float("nan")), "failed", "the score is nan, not a finite number"),
    "no number": (lambda m, s: MetricResult(m.name, "9"), "failed", "the score is '9', not a number"),
    "a tensor in details": (
        lambda m, s: MetricResult(m.name, 1.0, {"a": torch.ones(2)}),
        "failed",
        "details must hold JSON values: details['a'] is a Tensor",
    ),
    "another return value": (lambda m, s: 0.5, "failed", "the metric returned a float, not a MetricResult"),
    "nothing returned": (lambda m, s: None, "failed", "the metric returned a NoneType, not a MetricResult"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_one_metric(ask: Callable[..., Answer], clips: dict[str, str], kind: str) -> None:
    act, status, reason = FAULTS[kind]

    @register("part.faulty")
    class Faulty(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return act(self, sample)  # type: ignore[no-any-return]

    found = ask(["part.faulty", "part.mean"], [{"id": "a", "video": clips["a"]}])
    assert found.results["a"]["part.mean"].status == "scored"
    assert (found.results["a"]["part.faulty"].status, found.results["a"]["part.faulty"].reason) == (status, reason)


ROWS: dict[str, tuple[Callable[[], Any], str]] = {
    "none": (lambda: np.ones((0, 3)), "this clip has no features: they have the shape (0, 3)"),
    "not finite": (lambda: np.array([[np.nan]]), "the features of this clip are not finite"),
}


@pytest.mark.parametrize("kind", ["none", "not finite"])
def test_a_fault_of_one_row(ask: Callable[..., Answer], clips: dict[str, str], kind: str) -> None:
    make, reason = ROWS[kind]

    @register("part.rows")
    class Rows(SetMetric):
        reads: ClassVar[tuple[str, ...]] = ()

        def features(self, sample: Mapping[str, Any]) -> np.ndarray:
            level = float(sample["video"].mean())
            return make() if level == darkest else np.array([[level]])

        def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
            return MetricResult(self.name, float(candidate.rows.sum() - reference.rows.sum()), {"ids": candidate.ids})

    samples = pairs(clips)
    levels = ask(["part.mean"], samples)
    darkest = min(float(one["part.mean"].score or 0) for one in levels.results.values())
    found = ask(["part.rows"], samples)
    (lost,) = [id for id in "abcd" if "part.rows" in found.results[id]]
    assert found.results[lost]["part.rows"].reason == reason
    assert found.details["part.rows"] == {"ids": [id for id in "abcd" if id != lost]}


@pytest.mark.parametrize("through", ["torch", "numpy", "data"])
@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_a_metric_that_writes_is_named_and_nothing_later_is_kept(
    ask: Callable[..., Answer], clips: dict[str, str], through: str, pixels: str
) -> None:
    @register("part.careless")
    class Careless(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            frames = sample["video"]
            if through == "torch":
                frames.add_(1)
            elif through == "numpy":
                frames.numpy()[:] += 1
            else:
                frames.data += 1
            return MetricResult(self.name, 1.0)

    registry.metric_class("part.careless").pixels = pixels  # type: ignore[assignment]
    first = ask(["part.mean"], [{"id": "a", "video": clips["a"]}])
    pair = {"id": "b", "video": clips["b"], "reference": clips["f"]}
    # Once: a gate that asks for one metric alone reads the clip anew, and may keep what it finds.
    found = ask(["part.careless", "part.distance", "part.mean"], [pair], runs=["computed"])
    why = "part.careless changed the frames of 'video' in place"
    for name in ("part.careless", "part.distance", "part.mean"):
        assert (found.results["b"][name].status, found.results["b"][name].reason) == ("failed", why)
    later = ask(["part.mean"], [{"id": "b", "video": clips["b"]}])
    assert later.results["b"]["part.mean"].status == "scored"
    assert first.results["a"]["part.mean"].score != later.results["b"]["part.mean"].score


def test_a_value_that_a_metric_does_not_declare_is_never_reused(
    ask: Callable[..., Answer], clips: dict[str, str]
) -> None:
    @register("part.curious")
    class Curious(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float(len(sample.get("text_prompt") or "")))

    samples = [{"id": text, "video": clips["a"], "text_prompt": text} for text in ("cat", "horse")]
    samples.append({"id": "none", "video": clips["a"]})
    found = ask(["part.curious"], samples)
    assert [found.results[id]["part.curious"].score for id in ("cat", "horse", "none")] == [3.0, 5.0, 0.0]


CODE = """
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

class Outside(BaseMetric):
    name = "outside.level"
    requires_reference = False

    def compute(self, sample):
        return MetricResult(self.name, {factor} * float(sample["video"].mean()))
"""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Callable[[int], type[BaseMetric]]]:
    """Return a function that makes the metric of a module outside of the package, as its author edits it."""

    def make(factor: int) -> type[BaseMetric]:
        module = types.ModuleType("edited_metric")
        path = tmp_path / "edited_metric.py"
        path.write_text(CODE.format(factor=factor))
        module.__file__ = str(path)
        sys.modules["edited_metric"] = module
        exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
        made: type[BaseMetric] = module.__dict__["Outside"]
        registry._registry["outside.level"] = made
        return made

    yield make
    sys.modules.pop("edited_metric", None)


@pytest.mark.parametrize("face", FACES)
def test_code_that_changed_without_a_new_version_is_noticed(
    face: str, outside: Callable[[int], type[BaseMetric]], clips: dict[str, str]
) -> None:
    store, samples = MemoryStore(), [{"id": "a", "video": clips["a"]}]
    scores = []
    for factor in (1, 100, 1):
        outside(factor)
        scores.append(FACES[face](["outside.level"], samples, store, {}).results["a"]["outside.level"].score or 0.0)
    assert scores[1] == pytest.approx(100 * scores[0])
    assert scores[2] == scores[0]
    identities = []
    for factor in (1, 100):
        metric = outside(factor)()
        identities.append(score_corpus(metric, Corpus((Sample("a", samples[0]),)), EvalWorker(store)).metric)
    assert identities[0] != identities[1]
