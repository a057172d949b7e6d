"""Precision, recall, density and coverage against recorded values."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from pytest_vidmetrics.stats.prdc import coverage_influence, prdc
from tests.support.oracle_inputs import feature_set
from tests.support.recorded_sets import recorded

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "fvd" / "prdc.json").read_text())


@pytest.mark.parametrize("case", ORACLE["inputs"], ids=lambda case: case["case"])
@pytest.mark.parametrize("k", [3, 5])
def test_recorded_cases(case: dict[str, str], k: int) -> None:
    expected = ORACLE["expected"][case["case"]][f"k{k}"]
    assert asdict(prdc(recorded(case["generated"]), recorded(case["real"]), k=k)) == pytest.approx(expected, abs=1e-12)


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="k=5 neighbours"):
        prdc(feature_set(5, 3, 0), feature_set(50, 3, 1))


def test_influence_on_coverage_is_what_leaving_a_clip_out_does() -> None:
    real, fake = feature_set(90, 8, 50), feature_set(60, 8, 51, offset=0.2)
    values = coverage_influence(fake, real, k=3)
    whole = prdc(fake, real, k=3).coverage
    without = np.array([prdc(np.delete(fake, i, axis=0), real, k=3).coverage for i in range(60)])
    change = whole - without
    np.testing.assert_allclose(values, 59 * (change - change.mean()), atol=1e-9)
    assert values.std() > 0
    with pytest.raises(ValueError, match="k=5 neighbours"):
        coverage_influence(fake[:5], real)
