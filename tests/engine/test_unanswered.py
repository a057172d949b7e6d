"""A judge without an answer: kept like a score, tolerated up to a stated share, never a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric


class Judge(BaseMetric):
    name = "judge"
    requires = ("text_prompt",)
    requires_reference = False
    neutral = frozenset({"max_missing"})
    asked = 0

    def __init__(self, max_missing: float = 0.0) -> None:
        self.max_missing = max_missing

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        Judge.asked += 1
        words = str(sample["text_prompt"])
        if words.startswith("?"):
            return MetricResult.unanswered(self.name, "unparsed: it says nothing", {"made": "here"})
        if words.startswith("!"):
            return MetricResult.failed(self.name, "no such clip")
        return MetricResult(self.name, float(len(words)), {"made": "here"})

    def conditions(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        return {"device": sorted({str(result.details["made"]) for result in results.values()})}

    def corpus_details(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        return {"answers": len(results)}


def corpus(*prompts: str) -> Corpus:
    return Corpus(tuple(Sample(f"clip{i}", {"text_prompt": prompt}) for i, prompt in enumerate(prompts)))


def score(metric: BaseMetric, *prompts: str) -> CorpusScore:
    return score_corpus(metric, corpus(*prompts), EvalWorker(MemoryStore()))


def test_few_are_left_out_and_named() -> None:
    found = score(Judge(0.25), "a", "bbb", "?", "cc")
    assert found.score == pytest.approx(2.0)
    assert found.samples == {"clip0": 1.0, "clip1": 3.0, "clip3": 2.0}
    assert found.missing == {"clip2": "unparsed: it says nothing"}
    assert not found.problems
    assert found.may_miss


def test_more_than_the_share_are_problems() -> None:
    for share in (0.0, 0.2):
        found = score(Judge(share), "a", "bbb", "?", "cc")
        assert [(one.sample, one.status, one.reason) for one in found.problems] == [
            ("clip2", "failed", "unparsed: it says nothing")
        ]
        assert not found.missing


def test_other_failures_are_never_tolerated() -> None:
    found = score(Judge(0.9), "a", "!", "?", "cc")
    assert [one.sample for one in found.problems] == ["clip1"]


def test_it_is_kept_so_that_nobody_is_asked_again() -> None:
    store, before = MemoryStore(), Judge.asked
    for _ in range(2):
        score_corpus(Judge(0.5), corpus("a", "?", "!"), EvalWorker(store))
    assert Judge.asked == before + 4
    judged = score_corpus(Judge(0.5), corpus("a", "?"), EvalWorker(store, compute=False))
    assert judged.missing == {"clip1": "unparsed: it says nothing"}
    assert judged.score == 1.0


def test_what_only_results_know_is_part_of_the_identity_and_of_the_details() -> None:
    found = score(Judge(0.5), "a", "?")
    assert found.metric["conditions"] == {"device": ["here"]}
    assert found.details == {"answers": 1}


def test_unanswered_is_a_failure_that_says_so() -> None:
    result = MetricResult.unanswered("judge", "unparsed", {"text": "?"})
    assert result.status == "failed"
    assert result.score is None
    assert result.reason == "unparsed"
    assert result.is_unanswered
    assert not MetricResult.failed("judge", "x").is_unanswered


class Ratio(Judge):
    """Wins over wins and losses, with ties that count in neither."""

    name = "ratio"

    def corpus_score(self, results: Mapping[str, MetricResult]) -> float | None:
        return 0.25

    def influences(self, results: Mapping[str, MetricResult]) -> Mapping[str, float]:
        return {id: (result.score or 0.0) / 10 for id, result in results.items()}


def test_influences_take_the_place_of_scores() -> None:
    found = score(Ratio(), "a", "bbb")
    assert found.score == 0.25
    assert found.samples == {"clip0": 0.1, "clip1": pytest.approx(0.3)}
    assert found.is_set
    assert not found.is_mean
