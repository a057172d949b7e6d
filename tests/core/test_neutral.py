from __future__ import annotations

import math

import pytest

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.metrics import registry


def test_independent_clips_shrink_and_common_changes_stay() -> None:
    shift = NeutralShift(0.001, 0.0001)
    assert shift.at(1) == pytest.approx(0.001, rel=0.01)
    assert shift.at(100) == pytest.approx(math.sqrt(2) * 0.0001)
    assert shift.at(10**8) == pytest.approx(0.0001)


@pytest.mark.parametrize("given", [(-1.0, 0.0), (math.nan, 0.0), (0.0, math.inf)])
def test_a_shift_that_is_no_length_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        NeutralShift(*given)


def test_no_clips_have_no_mean() -> None:
    with pytest.raises(ValueError, match="n=0"):
        NeutralShift(1.0).at(0)


def test_a_declared_shift_is_at_least_the_noise_floor_of_its_metric() -> None:
    declared = {name: registry.metric_class(name) for name in registry.list_metrics()}
    shifts = {name: cls for name, cls in declared.items() if cls.neutral_shift is not None}
    assert {"common.psnr", "common.ssim", "vbench.temporal_flickering"} <= set(shifts)
    for name, cls in shifts.items():
        assert cls.neutral_shift.clip >= cls.noise_floor, name
