"""Kernel distance, and its p-value under a true null."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vidmetrics.stats.kernel import permutation_p, polynomial_mmd
from tests.oracle_inputs import feature_set


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (feature_set(120, 16, 30), feature_set(120, 16, 31, offset=0.3), 0.4598589379872129),
        (feature_set(100, 32, 32), feature_set(100, 32, 33), -0.013534848606624461),
        (feature_set(60, 16, 34), feature_set(60, 16, 34), -0.2798238039973411),
    ],
)
def test_unbiased_mmd_matches_the_reference(first: np.ndarray, second: np.ndarray, expected: float) -> None:
    assert polynomial_mmd(first, second) == pytest.approx(expected, rel=1e-9)


def test_p_value_is_small_for_a_shift_and_uniform_without_one() -> None:
    assert permutation_p(feature_set(40, 8, 1), feature_set(30, 8, 2, offset=1.0)) == pytest.approx(1 / 1001)
    null = [permutation_p(feature_set(20, 4, i), feature_set(15, 4, 500 + i), permutations=99) for i in range(200)]
    assert 0.015 <= np.mean(np.array(null) <= 0.05) <= 0.10
    assert 0.4 < np.mean(null) < 0.6
