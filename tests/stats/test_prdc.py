"""Precision, recall, density and coverage against recorded values."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from pytest_vidmetrics.stats.prdc import prdc
from tests.oracle_inputs import feature_set


def test_overlapping_sets() -> None:
    real, fake = feature_set(150, 8, 50), feature_set(120, 8, 51, offset=0.2)
    assert astuple(prdc(fake, real, k=3)) == pytest.approx((0.875, 0.84, 1.136111111111111, 0.8266666666666667))
    expected = (0.9333333333333333, 0.8866666666666667, 1.1066666666666667, 0.96)
    assert astuple(prdc(fake, real, k=5)) == pytest.approx(expected)


def test_separated_and_narrow_sets() -> None:
    assert astuple(prdc(feature_set(80, 8, 53, offset=6.0), feature_set(80, 8, 52))) == (0, 0, 0, 0)
    narrow = prdc(feature_set(100, 6, 55, scale=0.4), feature_set(100, 6, 54), k=5)
    assert astuple(narrow) == pytest.approx((1.0, 0.13, 2.216, 0.78))


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="k=5 neighbours"):
        prdc(feature_set(5, 3, 0), feature_set(50, 3, 1))
