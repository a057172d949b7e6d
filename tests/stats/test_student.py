"""Student's t in plain Python against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from pytest_vidmetrics.stats.student import t_cdf, t_quantile

DF = st.floats(0.5, 1000) | st.integers(1, 500).map(float)


def chance(x: float, df: float) -> float:
    """Return the chance of a value up to ``x``. Near 0 ``special.stdtr`` has nine digits of it."""
    square = x * x
    beyond = special.betainc(df / 2, 0.5, df / (df + square)) / 2
    if beyond > 0.4:  # near 0 what lies inside has the digits
        beyond = 0.5 - special.betainc(0.5, df / 2, square / (df + square)) / 2
    return float(beyond if x < 0 else 1 - beyond)


@given(DF, st.floats(1e-9, 1 - 1e-9))
@settings(deadline=None, max_examples=200)
def test_quantiles(df: float, p: float) -> None:
    assert chance(t_quantile(p, df), df) == pytest.approx(p, rel=1e-11)


@given(DF, st.floats(-50, 50))
@example(1.0, 2.2232080326513735e-07)
@settings(deadline=None, max_examples=200)
def test_chances(df: float, x: float) -> None:
    assert t_cdf(x, df) == pytest.approx(chance(x, df), rel=1e-11)
    assert t_cdf(x, df) + t_cdf(-x, df) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("p", [1e-6, 0.01, 0.05, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("df", [1e4, 1e5, 1e6])
def test_many_degrees_of_freedom(df: float, p: float) -> None:
    assert t_quantile(p, df) == pytest.approx(float(special.stdtrit(df, p)), rel=1e-9)


def test_limits() -> None:
    assert t_quantile(0.975, math.inf) == pytest.approx(1.959963984540054, rel=1e-12)
    assert t_cdf(-1.959963984540054, math.inf) == pytest.approx(0.025, rel=1e-12)
    assert t_quantile(0.75, 1.0) == pytest.approx(1.0, rel=1e-14)
    assert t_quantile(0.5, 3.0) == 0
    assert (t_cdf(-math.inf, 2.0), t_cdf(0.0, 2.0), t_cdf(math.inf, 2.0)) == (0, 0.5, 1)


@pytest.mark.parametrize(("p", "df"), [(0.0, 3.0), (1.0, 3.0), (math.nan, 3.0), (0.5, 0.0), (0.5, math.nan)])
def test_what_has_no_quantile(p: float, df: float) -> None:
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        t_quantile(p, df)


@pytest.mark.parametrize(("x", "df"), [(math.nan, 3.0), (1.0, 0.0), (1.0, -2.0)])
def test_what_has_no_chance(x: float, df: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        t_cdf(x, df)
