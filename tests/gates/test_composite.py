"""A composite gate: one number from the observations of its parts, or none at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, cast

import pytest

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.composite import Members
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric
from pytest_vidmetrics.metrics.registry import register

CORPUS = Corpus(
    (
        Sample("a", {"first": 1.0, "second": 2.0}),
        Sample("b", {"first": 3.0, "second": 4.0}),
        Sample("only", {"first": 5.0}, only=frozenset({"part.first"})),
    )
)


class Part(BaseMetric):
    requires_reference = False
    noise_floor: ClassVar[float] = 0.1


class Recorded:
    """Scores as the samples name them; counts what was asked."""

    threads = 1
    digest = staticmethod(digest_file)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        for unit in units:
            self.asked += [metric.name for metric in unit.metrics]
            scores = {metric.name: unit.values.get(metric.name.removeprefix("part.")) for metric in unit.metrics}
            yield [
                Outcome(MetricResult(name, score) if score is not None else MetricResult.failed(name, "no such clip"))
                for name, score in scores.items()
            ]

    def weights(self, metric: BaseMetric) -> dict[str, str]:
        return {}


@pytest.fixture(autouse=True)
def _defined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", {})
    monkeypatch.setattr(registry, "_discovered", True)
    register("part.first")(type("First", (Part,), {}))
    register("part.second")(type("Second", (Part,), {}))


class Sum(CompositeMetric):
    name = "part.sum"
    parts = ("part.first", "part.second")

    def combine(self, scores: Mapping[str, float]) -> float:
        return 1.0 + 2.0 * scores["part.first"] + scores["part.second"] / 2


class Incomplete(Sum):
    parts = ("part.first", "part.second", "part.third")


def members() -> dict[str, BaseMetric | UnavailableError]:
    return {name: registry.get_metric(name) for name in ("part.first", "part.second")}


def seen(metric: BaseMetric, parts: Members, corpus: Corpus = CORPUS, scorer: Recorded | None = None) -> CorpusScore:
    return score_corpus(metric, corpus, scorer or Recorded(), members=parts)


def test_each_part_is_scored_on_its_own_clips() -> None:
    found = seen(Sum(), members())
    assert found.score == pytest.approx(1.0 + 2.0 * 3.0 + 3.0 / 2)
    assert found.details == {"parts": {"part.first": 3.0, "part.second": 3.0}}
    assert not found.problems


def test_the_clips_shares_are_the_score_without_its_constant() -> None:
    found = seen(Sum(), members())
    assert sum(found.samples.values()) == pytest.approx(cast(float, found.score) - 1.0)
    assert found.samples["only"] == pytest.approx(2.0 * 5.0 / 3)
    assert found.samples["b"] == pytest.approx(2.0 * 3.0 / 3 + 4.0 / 2 / 2)
    assert (found.is_set, found.is_mean) == (True, False)


def test_the_noise_floor_is_the_parts_floors_through_the_formula() -> None:
    assert seen(Sum(), members()).noise_floor == pytest.approx(2.0 * 0.1 + 0.5 * 0.1)


def test_a_change_of_a_parts_parameters_is_a_change_of_the_identity() -> None:
    class Other(Part):
        name = "part.second"

        def __init__(self, window: int = 7) -> None:
            self.window = window

    first, second = seen(Sum(), members()), seen(Sum(), {**members(), "part.second": Other()})
    assert first.score == second.score
    assert first.metric != second.metric


def test_a_part_that_this_version_lacks_makes_it_unavailable_before_any_clip() -> None:
    scorer = Recorded()
    found = seen(Incomplete(), members(), scorer=scorer)
    assert found.score is None
    assert [(one.status, one.reason) for one in found.problems] == [
        ("unavailable", "part.sum needs part.third, which this version does not have")
    ]
    assert not scorer.asked


def test_a_part_that_cannot_run_makes_it_unavailable_and_says_why() -> None:
    found = seen(Sum(), {**members(), "part.second": UnavailableError("weights of second: not here")})
    assert found.score is None
    assert [(one.sample, one.status) for one in found.problems] == [("part.second", "unavailable")]
    assert "weights of second" in found.problems[0].reason


def test_a_part_without_clips_makes_it_unavailable() -> None:
    found = seen(Sum(), members(), Corpus((CORPUS.samples[2],)))
    assert found.score is None
    assert "part.second" in found.problems[0].reason
    assert found.problems[0].status == "unavailable"


def test_a_failed_clip_is_named_with_its_part() -> None:
    broken = Corpus((*CORPUS.samples, Sample("c", {"second": 1.0})))
    found = seen(Sum(), members(), broken)
    assert found.score is None
    assert [(one.sample, one.status) for one in found.problems] == [("part.first: c", "failed")]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_combination_that_is_no_finite_number_is_a_failure(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sum, "combine", lambda self, scores: value if scores["part.first"] else 0.0)
    found = seen(Sum(), members())
    assert found.score is None
    (problem,) = found.problems
    assert (problem.sample, problem.status) == ("corpus", "failed")
    assert f"the score is {value}" in problem.reason


def test_a_part_with_too_few_clips_is_no_part() -> None:
    parts = members()
    parts["part.second"].min_n = 3  # type: ignore[union-attr,misc]
    found = seen(Sum(), parts)
    assert found.score is None
    assert "part.second: corpus" in found.problems[0].sample
    assert "2 scored samples are too few: it needs at least 3" in found.problems[0].reason


def test_it_counts_other_clips_where_a_part_does() -> None:
    class Choosing(Part):
        name = "part.second"

        def counted(self, results: Mapping[str, MetricResult]) -> Mapping[str, MetricResult]:
            return {"a": results["a"]}

    assert not seen(Sum(), members()).chooses
    assert seen(Sum(), {**members(), "part.second": Choosing()}).chooses
