from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_vidmetrics.stats.modes import two_modes


def test_two_modes_of_a_known_case_are_named() -> None:
    found = two_modes([0.9861, 0.9583, 0.9860, 0.9862, 0.9581, 0.9859, 0.9582])
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.9582, 0.9861)
    assert found.members == ((1, 4, 6), (0, 2, 3, 5))


def test_equal_repeats_in_two_groups_are_two_modes() -> None:
    found = two_modes([1.0, 2.0, 1.0, 2.0])
    assert found is not None
    assert (found.low, found.high, found.p) == (1.0, 2.0, pytest.approx(1 / 4001))


@pytest.mark.parametrize("count", [4, 6, 12, pytest.param(40, marks=pytest.mark.slow)])
def test_normal_noise_is_rarely_two_modes(count: int) -> None:
    rng = np.random.default_rng(count)
    assert sum(two_modes(rng.normal(size=count)) is not None for _ in range(100)) <= 5


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 9.0], [1.0, 2.0, 3.0]])
def test_one_group_and_lone_values_are_no_modes(scores: list[float]) -> None:
    assert two_modes(scores) is None


def test_scores_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        two_modes([1.0, math.nan, 2.0, 3.0])
