from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from pytest_vidmetrics.stats.power import (
    detectable_effect,
    paired_power,
    samples_needed,
    smallest_harm,
    tolerance_factor,
)

TABLES = json.loads((Path(__file__).parents[1] / "data" / "stats" / "gate_tables.json").read_text())["expected"]


@pytest.mark.parametrize("row", TABLES["sample_size"])
def test_sample_size_matches_the_reference(row):
    found = samples_needed(row["sd_of_difference"], row["margin"], alpha=row["alpha_one_sided"], power=row["power"])
    assert found == pytest.approx(row["pairs"], rel=1e-4)


@pytest.mark.parametrize("row", TABLES["power"])
def test_power_matches_the_reference(row):
    found = paired_power(row["n"], row["sd_of_difference"], row["margin"], alpha=row["alpha_one_sided"])
    assert found == pytest.approx(row["power"], rel=1e-9)


@pytest.mark.parametrize("row", TABLES["minimum_detectable_effect"])
def test_detectable_effect_matches_the_reference(row):
    found = detectable_effect(row["n"], row["sd_of_difference"], alpha=row["alpha_one_sided"], power=row["power"])
    assert found == pytest.approx(row["effect"], rel=1e-4)


@pytest.mark.parametrize("row", TABLES["tolerance_factor_one_sided"])
def test_tolerance_factor_matches_the_reference(row):
    found = tolerance_factor(row["runs"], content=row["content"], confidence=row["confidence"])
    assert found == pytest.approx(row["factor"], rel=1e-6)


def test_the_margin_from_runs_holds_as_often_as_it_says():
    runs = np.random.Generator(np.random.PCG64(5)).normal(size=(20_000, 5))
    bound = runs.mean(axis=1) - tolerance_factor(5) * runs.std(axis=1, ddof=1)
    assert np.mean(bound <= -1.6448536) == pytest.approx(0.95, abs=0.006)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 2), st.floats(0.02, 2))
def test_the_size_reaches_the_power_and_one_pair_less_does_not(sd, effect):
    needed = samples_needed(sd, effect)
    assert paired_power(needed, sd, effect) >= 0.8 - 1e-6
    if needed > 3:
        assert paired_power(needed - 1, sd, effect) < 0.8


@pytest.mark.parametrize(
    "call",
    [
        lambda: samples_needed(0.0, 0.1),
        lambda: samples_needed(0.1, 0.0),
        lambda: samples_needed(1.0, 1e-6),
        lambda: samples_needed(0.1, 0.1, power=1.0),
        lambda: paired_power(1, 0.1, 0.1),
        lambda: detectable_effect(1, 0.1),
        lambda: tolerance_factor(1),
        lambda: tolerance_factor(5, content=1.5),
    ],
)
def test_impossible_questions_are_refused(call):
    with pytest.raises(ValueError, match=r"\w"):
        call()


@pytest.mark.parametrize("rule", ["point", "strict", "lenient"])
def test_the_detection_limit_is_where_the_gate_fails_four_times_out_of_five(rule: str) -> None:
    n, margin = 16, 0.5
    rng = np.random.default_rng(11)
    limit = smallest_harm(rule, 1 / math.sqrt(n), n - 1, margin)
    samples = rng.normal(limit, 1.0, (40_000, n))
    mean, error = samples.mean(1), samples.std(1, ddof=1) / math.sqrt(n)
    reach = scipy_stats.t.isf(0.05, n - 1) * error
    tested = {"point": mean, "strict": mean + reach, "lenient": mean - reach}[rule]
    # The error is itself an estimate: for the two rules with a bound the share lies within three percent of 0.8.
    assert np.mean(tested > margin) == pytest.approx(0.8, abs=0.03)


def test_a_gate_without_noise_sees_all_above_its_margin() -> None:
    assert smallest_harm("point", 0.0, 1, 0.25) == 0.25
    assert smallest_harm("strict", 1.0, 10, 0.0) == 0.0


@pytest.mark.parametrize("call", [("odd", 1.0, 2, 0.1), ("point", -1.0, 2, 0.1), ("point", 1.0, 2, -0.1)])
def test_a_detection_limit_of_nonsense_is_refused(call: tuple[str, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"rule|error"):
        smallest_harm(*call)
