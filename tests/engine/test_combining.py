"""Composite metrics in an evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.api import create_evaluator
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric
from pytest_vidmetrics.metrics.registry import register

CLIPS = [{"video": torch.full((2, 3, 4, 4), level)} for level in (0.25, 0.75)]


@pytest.fixture(autouse=True)
def _defined(metrics: dict[str, Any]) -> None:
    @register("fake.mean")
    class Mean(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float(sample["video"].mean()))

    @register("fake.styled")
    class Styled(Mean):
        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            level = float(sample["video"].mean())
            if level > 0.8:
                raise ValueError("too bright")
            return self._skip(sample, "dark") if level < 0.5 else MetricResult(self.name, level)

    @register("fake.both")
    class Both(CompositeMetric):
        parts = ("fake.mean", "fake.styled")

        def combine(self, scores: Mapping[str, float]) -> float:
            return 10 * scores["fake.mean"] + scores["fake.styled"]

    @register("fake.more")
    class More(Both):
        parts = ("fake.mean", "fake.absent")


def test_the_corpus_result_combines_each_parts_own_samples() -> None:
    with create_evaluator("fake.both") as evaluator:
        assert evaluator.metric_names == ["fake.mean", "fake.styled", "fake.both"]
        results = evaluator.evaluate(CLIPS)
    assert results.corpus["fake.both"].score == pytest.approx(10 * 0.5 + 0.75)
    assert results.corpus["fake.both"].details == {"parts": {"fake.mean": 0.5, "fake.styled": 0.75}}
    assert "fake.both" not in results[0]
    assert results[0]["fake.styled"].status == "skipped"


def test_a_failed_sample_leaves_no_combined_score() -> None:
    with create_evaluator("fake.both") as evaluator:
        found = evaluator.evaluate([*CLIPS, {"video": torch.ones(2, 3, 4, 4)}]).corpus["fake.both"]
    assert found.status == "failed"
    assert "fake.styled" in found.reason
    assert "too bright" in found.reason


def test_one_sample_has_no_combined_score() -> None:
    with create_evaluator("fake.both") as evaluator, pytest.raises(ValueError, match=r"fake\.both.*samples="):
        evaluator.evaluate(video=CLIPS[0]["video"])


def test_a_part_that_does_not_exist_is_said_at_the_start() -> None:
    with pytest.raises(UnavailableError, match=r"fake\.more needs fake\.absent"):
        create_evaluator("fake.more")
    with create_evaluator("fake") as evaluator:
        assert "fake.absent" in evaluator.unavailable["fake.more"]
        assert "fake.more" not in evaluator.metric_names
        assert "fake.both" in evaluator.evaluate(CLIPS).corpus
