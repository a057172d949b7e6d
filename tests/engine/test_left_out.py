"""Clips that a metric leaves out of its corpus: counted and said, never an error, and never all of them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric


class Undefined(BaseMetric):
    """Scores the sample's number; a negative one has none, and ``None`` is a fault."""

    name = "mine.undefined"
    requires = ("number",)
    requires_reference = False

    def compute(self, sample: Any) -> MetricResult:
        if sample["number"] < 0:
            return MetricResult(self.name, None, {"reason": "negative", "negative": True}, "skipped")
        return MetricResult(self.name, float(sample["number"]))

    def left_out(self, result: MetricResult) -> bool:
        return bool(result.details.get("negative"))


def observed(**numbers: float | None) -> CorpusScore:
    samples = tuple(Sample(id, {"video": "none.mp4", "number": value}) for id, value in numbers.items())
    return score_corpus(Undefined(), Corpus(samples), EvalWorker(MemoryStore()))


def test_the_score_is_that_of_the_others_and_the_number_left_out_is_said() -> None:
    found = observed(a=1.0, b=-1.0, c=2.0, d=-2.0)
    assert (found.score, dict(found.samples), found.problems) == (1.5, {"a": 1.0, "c": 2.0}, ())
    assert found.chooses
    assert found.remarks == ("2 of 4 clips have no score and are left out; first: b: negative",)


def test_a_clip_without_what_the_metric_needs_is_a_fault_all_the_same() -> None:
    found = observed(a=1.0, b=None)
    assert [problem.sample for problem in found.problems] == ["b"]


def test_when_all_are_left_out_the_score_is_undefined() -> None:
    found = observed(a=-1.0, b=-1.0)
    assert found.score is None
    assert [problem.reason for problem in found.problems] == ["the score of this corpus is undefined"]


def test_other_metrics_leave_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Undefined, "left_out")
    found = observed(a=1.0, b=-1.0)
    assert not found.chooses
    assert [problem.sample for problem in found.problems] == ["b"]
