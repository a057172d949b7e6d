"""The Fréchet term against 50-digit values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.stats.frechet import _from_covariances, checked, frechet
from tests.support.oracle_inputs import feature_set
from tests.support.recorded_sets import recorded

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "fvd" / "frechet.json").read_text())


@pytest.mark.parametrize("case", ORACLE["inputs"], ids=lambda case: case["case"])
@pytest.mark.parametrize("ddof", [0, 1])
def test_distance_matches_fifty_digits(case: dict[str, str], ddof: int) -> None:
    expected = ORACLE["expected"][case["case"]][f"ddof{ddof}_eps0"]["reference_value"]
    result = frechet(recorded(case["generated"]), recorded(case["reference"]), ddof=ddof).distance
    assert result == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet(np.zeros((1, 4)), np.zeros((5, 4)))


def test_non_finite_rows_are_named() -> None:
    rows = np.zeros((3, 2))
    rows[1, 0] = np.nan
    with pytest.raises(ValueError, match="not finite: beta"):
        checked(rows, ["alpha", "beta", "gamma"])
    rows[:2, 0] = np.inf, -np.inf
    with pytest.raises(ValueError, match=r"not finite: row 0, row 1$"):
        checked(rows)
    assert checked(np.full((3, 2), 1e308)).shape == (3, 2)


def test_widths_must_agree() -> None:
    with pytest.raises(ValueError, match="3 and 4 features"):
        frechet(np.zeros((5, 3)), np.zeros((5, 4)))


def _by_factors(a: np.ndarray, b: np.ndarray) -> float:
    """Return the distance as written in the definition, by singular values of the centred rows' product."""
    fa, fb = ((rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in (a, b))
    cross = np.linalg.svd(fa @ fb.T, compute_uv=False).sum()
    return float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + (fa**2).sum() + (fb**2).sum() - 2 * cross)


@settings(deadline=None, max_examples=60)
@given(
    counts=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    dimension=st.integers(1, 24),
    decay=st.floats(0, 4),
    rank=st.integers(1, 24),
    offset=st.sampled_from([0.0, 0.1, 100.0]),
    seed=st.integers(0, 10**6),
)
def test_any_shape_conditioning_and_rank(
    counts: tuple[int, int], dimension: int, decay: float, rank: int, offset: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.standard_normal((dimension, dimension)))[0]
    scale = np.arange(1.0, dimension + 1) ** -decay * (np.arange(dimension) < rank)
    a, b = (generator.standard_normal((count, dimension)) * scale @ turn + offset for count in counts)
    total = float((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)).sum())
    assert frechet(a, b).distance == pytest.approx(_by_factors(a, b), rel=1e-9, abs=1e-12 * (total + offset**2))
    assert frechet(a, a).distance <= 1e-12 * total
    assert frechet(a, b).distance == pytest.approx(frechet(b, a).distance, rel=1e-9, abs=1e-12 * total)


def test_common_sets_take_the_short_way_and_singular_ones_do_not() -> None:
    def short(a: np.ndarray, b: np.ndarray) -> bool:
        gap = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
        return _from_covariances(a, b, 1, float(gap)) is not None

    wide = feature_set(500, 100, 1, decay=0.5), feature_set(400, 100, 2, decay=0.5)
    assert short(*wide)
    assert not short(feature_set(80, 20, 9, rank=5), feature_set(80, 20, 10, rank=5))
    assert not short(wide[0], wide[0])
