from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as scipy_stats

from pytest_vidmetrics.stats.sequential import FEWEST, Decision, betting, mixture_t

NUMBERS = st.floats(-1, 1, allow_nan=False, width=32)
KINDS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape) / math.sqrt(3),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "mirrored": lambda rng, shape: 1 - rng.exponential(size=shape),
    "bernoulli": lambda rng, shape: (
        np.where(rng.random(shape) < 0.5, np.where(rng.random(shape) < 0.75, 1.0, -1.0), 0.0) - 0.25
    ),
}


def errors(kind: str, runs: int) -> tuple[float, float]:
    """Return the shares of wrong decisions on either side when the mean is the margin."""
    rows = KINDS[kind](np.random.default_rng(7), (runs, 1000)) + 0.25
    decide = betting if kind == "bernoulli" else mixture_t
    sides = [decide(row, 0.25).side for row in rows]
    return sides.count("above") / runs, sides.count("below") / runs


@pytest.mark.parametrize("kind", KINDS)
def test_both_errors_stay_below_alpha_at_the_boundary(kind: str) -> None:
    # 400 runs: five percent lie three deviations below 8.3 percent. The exact figures are those of the slow test.
    assert max(errors(kind, 400)) <= 0.083


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_both_errors_stay_below_alpha_in_ten_thousand_runs(kind: str) -> None:
    assert max(errors(kind, 10_000)) <= 0.05


def test_the_e_value_is_the_integral_over_effect_sizes() -> None:
    values = np.random.default_rng(1).normal(0.3, 1.0, 40)
    t = math.sqrt(40) * values.mean() / values.std(ddof=1)

    def weighted(effect: float) -> float:
        ratio = scipy_stats.nct.pdf(t, 39, math.sqrt(40) * effect) / scipy_stats.t.pdf(t, 39)
        return ratio * math.exp(-(effect**2) / (2 * 0.03)) / math.sqrt(2 * math.pi * 0.03)

    expected = integrate.quad(weighted, -3, 3, epsabs=1e-12)[0]
    assert mixture_t(values, 0.0, alpha=1e-9).evidence == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("mean", "side"), [(0.0, "below"), (1.0, "above")])
def test_clear_cases_are_decided_early(mean: float, side: str) -> None:
    found = mixture_t(np.random.default_rng(2).normal(mean, 1.0, 1000), 0.25)
    assert found.side == side
    assert found.used < 400


@given(st.lists(NUMBERS, min_size=1, max_size=120), st.integers(0, 120))
@settings(max_examples=60, deadline=None)
def test_more_values_never_change_a_decision(values: list[float], more: int) -> None:
    for decide in (mixture_t, betting):
        early = decide(values, 0.1)
        late = decide([*values, *values[:more]], 0.1)
        if early.side != "undecided":
            assert late == early


@given(st.lists(NUMBERS, min_size=40, max_size=80), st.sampled_from([2.0**-40, 2.0**-3, 2.0**60]))
@settings(max_examples=40, deadline=None)
def test_units_do_not_matter(values: list[float], unit: float) -> None:
    scaled = mixture_t(np.asarray(values) * unit, 0.125 * unit)
    assert (scaled.side, scaled.used) == (mixture_t(values, 0.125).side, mixture_t(values, 0.125).used)


@given(st.lists(NUMBERS, min_size=1, max_size=100))
@settings(max_examples=40, deadline=None)
def test_the_two_sides_are_mirror_images(values: list[float]) -> None:
    mirror = {"above": "below", "below": "above", "undecided": "undecided"}
    for decide in (mixture_t, betting):
        found, turned = decide(values, 0.25), decide([-v for v in values], -0.25)
        assert (mirror[found.side], found.used) == (turned.side, turned.used)


def test_equal_differences_are_decided_at_the_first_look() -> None:
    assert mixture_t([0.0] * 200, 0.25).used == FEWEST
    assert mixture_t([0.0] * 200, 0.25).side == "below"
    assert mixture_t([0.25] * 200, 0.25).side == "undecided"


def test_nothing_is_decided_from_nothing() -> None:
    assert mixture_t([], 0.1) == Decision("undecided", 0, 1.0)
    assert betting([], 0.1) == Decision("undecided", 0, 1.0)


def test_heavy_skew_waits_for_more_clips() -> None:
    rows = np.random.default_rng(3).exponential(size=(50, 1000)) + 2.0
    assert min(mixture_t(row, 0.25).used for row in rows) >= FEWEST
    assert np.median([mixture_t(row, 0.25).used for row in rows]) > FEWEST


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mixture_t([math.nan], 0.1), "finite"),
        (lambda: mixture_t([0.1, 0.2], 0.1, fewest=1), "at least 2"),
        (lambda: mixture_t([0.1, 0.2], 0.1, alpha=0.0), "alpha"),
        (lambda: betting([2.0], 0.1), "between -1"),
        (lambda: betting([0.5], 1.0), "margin"),
        (lambda: betting([[0.5]], 0.1), "one dimension"),
    ],
)
def test_bad_input_is_one_clear_error(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


def test_the_threshold_is_that_of_ville() -> None:
    # Two thousand equal wins of a bet cannot be needed: the wealth passes 20 as soon as the stakes allow.
    found = betting([1.0] * 100, 0.0)
    assert found.side == "above"
    assert found.evidence >= 20
