from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.stats.frechet import frechet
from pytest_vidmetrics.stats.influence import influence
from pytest_vidmetrics.stats.moments import Growing, Moments, frechet_of, influence_of, merged


def rows(n: int, d: int, seed: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ np.diag(np.linspace(0.2, 2.0, d)) + offset


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_any_split_merged_in_any_order_gives_the_moments_of_all_rows(sizes: list[int], random) -> None:
    everything = rows(sum(sizes), 5, sum(sizes), offset=1e3)
    parts = [Moments.of(part) for part in np.split(everything, np.cumsum(sizes)[:-1])]
    random.shuffle(parts)
    found, expected = merged(parts), Moments.of(everything)
    assert found.n == expected.n
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13)
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-9, atol=1e-9 * expected.scatter.max())


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 16), (20, 30, 64), (2, 2, 8), (500, 12, 40)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_the_distance_is_that_of_the_rows(n: int, m: int, d: int, offset: float) -> None:
    first, second = rows(n, d, 1, offset), rows(m, d, 2, offset + 0.1) * 1.1
    expected = frechet(first, second)
    found = frechet_of(merged(map(Moments.of, np.array_split(first, 2))), Moments.of(second))
    assert found.distance == pytest.approx(expected.distance, rel=1e-6)
    assert found.mean_term == pytest.approx(expected.mean_term, rel=1e-9)


def test_a_set_is_at_no_distance_from_itself() -> None:
    one = Moments.of(rows(100, 12, 3))
    assert frechet_of(one, one).distance == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Moments.of(np.empty((0, 3))), "N at least 1"),
        (lambda: Moments.of([[math.nan]]), "finite"),
        (lambda: Moments.of(rows(3, 2, 1)).merged(Moments.of(rows(3, 4, 1))), "2 and 4"),
        (lambda: frechet_of(Moments.of(rows(1, 2, 1)), Moments.of(rows(3, 2, 1))), "at least 2 rows"),
        (lambda: frechet_of(Moments.of(rows(3, 3, 1)), Moments.of(rows(3, 2, 1))), "3 and 2"),
        (lambda: Moments.of(rows(1, 2, 1)).covariance(), "more than 1"),
        (lambda: merged([]), "no moments"),
    ],
)
def test_what_has_no_moments_is_one_clear_error(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_rows_that_come_a_few_at_a_time_have_the_same_bits_in_any_portions(sizes: list[int]) -> None:
    everything = rows(sum(sizes), 3, sum(sizes), offset=1e3)
    one, other = Growing(), Growing()
    for part in np.split(everything, np.cumsum(sizes)[:-1]):
        one.add(part)
    other.add(everything)
    found, same, expected = one.moments(), other.moments(), Moments.of(everything)
    assert (found.n, found.mean.tobytes(), found.scatter.tobytes()) == (
        same.n,
        same.mean.tobytes(),
        same.scatter.tobytes(),
    )
    assert found.n == expected.n
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-9, atol=1e-9 * expected.scatter.max())


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 16), (20, 30, 64), (500, 12, 40)])
def test_the_influence_from_moments_is_that_of_the_rows(n: int, m: int, d: int) -> None:
    first, second = rows(n, d, 1, 10.0), rows(m, d, 2, 10.1) * 1.1
    expected = influence(first, second)
    found = influence_of(Moments.of(first), Moments.of(second))(first)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
