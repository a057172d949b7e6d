from __future__ import annotations

import math
from fractions import Fraction

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


def exact(values: list[list[int]]) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Return mean and scatter of rows of whole numbers without rounding."""
    columns = list(zip(*values, strict=True))
    means = [Fraction(sum(column), len(values)) for column in columns]
    apart = [[x - mean for x in column] for column, mean in zip(columns, means, strict=True)]
    return means, [[sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0)) for b in apart] for a in apart]


def tree(parts: list[Moments], draw: st.DrawFn) -> Moments:
    """Merge parts in any grouping and order."""
    while len(parts) > 1:
        first, second = (parts.pop(draw(st.integers(0, len(parts) - 1))) for _ in range(2))
        parts.append(first.merged(second))
    return parts[0]


@given(st.data(), st.integers(-(10**6), 10**6))
@settings(max_examples=60, deadline=None)
def test_any_tree_of_merges_is_exact_arithmetic_but_for_rounding(data: st.DataObject, offset: int) -> None:
    row = st.lists(st.integers(-1000, 1000), min_size=3, max_size=3)
    parts = data.draw(st.lists(st.lists(row, min_size=1, max_size=6), min_size=1, max_size=6))
    whole = [[x + offset for x in one] for part in parts for one in part]
    found = tree([Moments.of([[x + offset for x in one] for one in part]) for part in parts], data.draw)
    mean, scatter = exact(whole)
    assert found.n == len(whole)
    size = max(1.0, abs(offset))
    np.testing.assert_allclose(found.mean, [float(x) for x in mean], rtol=0, atol=1e-14 * (size + 1000))
    expected = np.array([[float(x) for x in line] for line in scatter])
    np.testing.assert_allclose(found.scatter, expected, rtol=1e-12, atol=1e-9 * len(whole) * max(1.0, size * 1e-3))
    np.testing.assert_array_equal(found.scatter, found.scatter.T)


@given(st.lists(st.integers(0, 600), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_parts_without_rows_change_no_bit(sizes: list[int]) -> None:
    everything = rows(sum(sizes), 3, sum(sizes), offset=1e3)
    with_empty, without = Growing(), Growing()
    for part in np.split(everything, np.cumsum(sizes)[:-1]):
        with_empty.add(part)
        if len(part):
            without.add(part)
    if not len(everything):
        with pytest.raises(ValueError, match="no moments"):
            with_empty.moments()
        return
    one, other = with_empty.moments(), without.moments()
    assert one.n == other.n == len(everything)
    assert (one.mean.tobytes(), one.scatter.tobytes()) == (other.mean.tobytes(), other.scatter.tobytes())


def test_one_row_is_its_own_mean_without_scatter() -> None:
    growing = Growing()
    growing.add([[1.5, -2.0]])
    found = growing.moments()
    assert (found.n, found.mean.tolist(), found.scatter.tolist()) == (1, [1.5, -2.0], [[0.0, 0.0], [0.0, 0.0]])


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
