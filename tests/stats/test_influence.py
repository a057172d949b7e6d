"""Influence values, the paired interval's coverage, and the bias of few clips."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vidmetrics.stats.frechet import frechet
from pytest_vidmetrics.stats.influence import at_infinity, influence, null_floor, paired_se
from tests.support.oracle_inputs import feature_set


@pytest.mark.parametrize(("count", "dimension"), [(3000, 4), (2000, 3)])
def test_influence_predicts_leaving_a_clip_out(count: int, dimension: int) -> None:
    a, b = feature_set(count, dimension, 1, offset=0.5), feature_set(500, dimension, 2, scale=1.3)
    whole = frechet(a, b, ddof=0).distance
    change = [whole - frechet(np.delete(a, i, axis=0), b, ddof=0).distance for i in range(0, count, 50)]
    predicted = influence(a, b)[::50] / count
    assert np.corrcoef(change, predicted)[0, 1] > 0.999
    np.testing.assert_allclose(change, predicted, atol=0.05 * np.abs(predicted).max())


def test_paired_interval_covers_the_true_change() -> None:
    reference = feature_set(2000, 4, 7)
    generator = np.random.default_rng(0)
    truth, covered, alarms, runs = None, 0, 0, 400
    population = generator.standard_normal((200_000, 4)) + 0.5
    shifted = population + [0.2, 0, 0, 0] + 0.1 * generator.standard_normal(population.shape)
    null = population + 0.1 * generator.standard_normal(population.shape)
    twin = population + 0.1 * generator.standard_normal(population.shape)
    truth = paired_se(shifted, population, reference)[0]
    for _ in range(runs):
        rows = generator.integers(0, len(population), 256)
        change, se = paired_se(shifted[rows], population[rows], reference)
        covered += abs(change - truth) <= 1.96 * se
        change, se = paired_se(null[rows], twin[rows], reference)
        alarms += change > 1.645 * se
    assert 0.92 <= covered / runs <= 0.97
    assert alarms / runs <= 0.06


def test_floor_and_extrapolation() -> None:
    reference = feature_set(400, 8, 3)
    floor, size = null_floor(reference, 100)
    assert size == 100
    assert 0 < floor < 2
    assert null_floor(reference, 1000)[1] == 200
    assert at_infinity(feature_set(9, 8, 1), reference) is None
    limit = at_infinity(feature_set(400, 8, 4), reference)
    assert limit is not None
    assert abs(limit) < 0.5


def test_paired_sets_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        paired_se(np.zeros((3, 2)), np.zeros((4, 2)), np.zeros((5, 2)))
