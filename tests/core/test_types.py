"""What counts as a score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.types import MetricResult


@pytest.mark.parametrize("score", [0.5, np.float32(0.5), torch.tensor(0.5), np.float64(0.5), torch.tensor([0.5])])
def test_numbers_become_floats(score: object) -> None:
    result = MetricResult("m", score)  # type: ignore[arg-type]
    assert (type(result.score), result.score, result.status) == (float, 0.5, "scored")


def test_zero_and_one_may_be_truth_values() -> None:
    found = [MetricResult("m", value).score for value in (True, False, 1)]
    assert [(type(score), score) for score in found] == [(float, 1.0), (float, 0.0), (float, 1.0)]


@pytest.mark.parametrize("score", ["0.5", b"1", [0.5], torch.ones(2), object()])
def test_what_is_no_number_is_a_failure(score: object) -> None:
    result = MetricResult("m", score)  # type: ignore[arg-type]
    assert (result.score, result.status) == (None, "failed")
    assert "not a number" in result.reason


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_finite_is_a_failure(score: float) -> None:
    result = MetricResult("m", score)
    assert (result.score, result.status) == (None, "failed")
    assert "not a finite number" in result.reason


@pytest.mark.parametrize("status", ["failed", "skipped", "unavailable"])
def test_a_number_beside_another_status_is_no_score(status: str) -> None:
    result = MetricResult("m", 0.5, {}, status)  # type: ignore[arg-type]
    assert (result.score, result.status) == (None, status)
    assert f"says '{status}' and gives 0.5" in result.reason
    assert MetricResult("m", 0.5, {"reason": "too dark"}, status).reason == "too dark"  # type: ignore[arg-type]
