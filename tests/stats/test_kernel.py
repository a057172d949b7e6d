"""Kernel distance, and its p-value under a true null."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vidmetrics.stats.kernel import (
    gaussian,
    median_distance,
    mmd,
    mmd_influence,
    permutation_p,
    polynomial,
    polynomial_mmd,
)
from tests.support.oracle_inputs import feature_set
from tests.support.recorded_sets import recorded

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "fvd" / "kvd_mmd.json").read_text())


@pytest.mark.parametrize("case", ORACLE["inputs"], ids=lambda case: case["case"])
def test_recorded_cases(case: dict[str, str]) -> None:
    expected = ORACLE["expected"][case["case"]]["mmd2_unbiased_full"]
    found = polynomial_mmd(recorded(case["features_1"]), recorded(case["features_2"]))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_p_value_is_small_for_a_shift_and_uniform_without_one() -> None:
    assert permutation_p(feature_set(40, 8, 1), feature_set(30, 8, 2, offset=1.0)) == pytest.approx(1 / 1001)
    null = [permutation_p(feature_set(20, 4, i), feature_set(15, 4, 500 + i), permutations=99) for i in range(200)]
    assert 0.015 <= np.mean(np.array(null) <= 0.05) <= 0.10
    assert 0.4 < np.mean(null) < 0.6


def _by_hand(first: np.ndarray, second: np.ndarray, bandwidth: float) -> float:
    def similar(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.exp(-np.sum((x - y) ** 2) / (2 * bandwidth**2)))

    n, m = len(first), len(second)
    same = sum(similar(first[i], first[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(similar(second[i], second[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return same + other - 2 * sum(similar(x, y) for x in first for y in second) / (n * m)


def test_gaussian_mmd_is_its_definition() -> None:
    first, second = feature_set(7, 5, 1, offset=100.0), feature_set(9, 5, 2, offset=100.5)
    distances = [float(np.linalg.norm(second[i] - second[j])) for i in range(9) for j in range(i)]
    bandwidth = median_distance(second)
    assert bandwidth == pytest.approx(np.median(distances), rel=1e-12)
    assert mmd(first, second, gaussian(bandwidth)) == pytest.approx(_by_hand(first, second, bandwidth), abs=1e-12)
    with pytest.raises(ValueError, match="above 0"):
        gaussian(0.0)
    with pytest.raises(ValueError, match="at least 2 rows"):
        median_distance(first[:1])


@pytest.mark.parametrize("kernel", [polynomial, gaussian(3.0)])
def test_mmd_is_unbiased_and_sees_a_shift(kernel) -> None:
    null = [mmd(feature_set(8, 6, i), feature_set(10, 6, 900 + i), kernel) for i in range(300)]
    assert abs(np.mean(null)) < 3 * np.std(null) / np.sqrt(300)
    assert min(null) < 0 < max(null)
    shifted = mmd(feature_set(40, 6, 1), feature_set(40, 6, 2, offset=1.0), kernel)
    assert shifted > max(null)
    near = permutation_p(feature_set(40, 6, 1), feature_set(40, 6, 2, offset=1.0), permutations=99, kernel=kernel)
    assert near == pytest.approx(0.01)


@pytest.mark.parametrize("kernel", [polynomial, gaussian(3.0)])
def test_influence_is_what_a_small_change_of_weight_does(kernel) -> None:
    first, second = feature_set(400, 6, 3), feature_set(300, 6, 4, offset=0.5)
    values = mmd_influence(first, second, kernel)
    assert values.sum() == pytest.approx(0, abs=1e-9)
    # Leaving one row out moves the score by its influence over N, up to terms of order 1/N^2.
    whole = mmd(first, second, kernel)
    left_out = np.array([mmd(np.delete(first, i, axis=0), second, kernel) for i in range(20)])
    np.testing.assert_allclose((whole - left_out) * 400, values[:20], atol=0.02 * np.abs(values).max())


def test_the_standard_error_from_the_influence_is_right() -> None:
    reference, kernel = feature_set(500, 4, 7, offset=0.7), gaussian(2.5)
    sets = [feature_set(60, 4, 100 + i) for i in range(150)]
    spread = np.std([mmd(rows, reference, kernel) for rows in sets], ddof=1)
    claimed = [np.std(mmd_influence(rows, reference, kernel), ddof=1) / np.sqrt(60) for rows in sets]
    assert np.mean(claimed) == pytest.approx(spread, rel=0.15)


def _exact_p(first: np.ndarray, second: np.ndarray) -> float:
    both = np.concatenate([first, second])
    observed = polynomial_mmd(first, second)
    chosen = [list(c) for c in itertools.combinations(range(len(both)), len(first))]
    values = [polynomial_mmd(both[c], np.delete(both, c, axis=0)) for c in chosen]
    return float(np.mean([value >= observed - 1e-12 for value in values]))


@pytest.mark.parametrize("seed", range(4))
def test_p_value_is_the_share_of_all_relabelings(seed: int) -> None:
    first, second = feature_set(4, 3, 10 + seed), feature_set(5, 3, 20 + seed, offset=0.8)
    estimate = permutation_p(first, second, permutations=4000)
    exact = _exact_p(first, second)
    assert estimate == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000) + 1e-3)
