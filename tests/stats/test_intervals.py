from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from pytest_vidmetrics.stats.intervals import (
    Interval,
    mcnemar,
    non_inferiority,
    p_inferior,
    p_non_inferior,
    paired_interval,
    sign_flip,
    t_interval,
    welch_interval,
)

TABLES = json.loads((Path(__file__).parents[1] / "data" / "stats" / "gate_tables.json").read_text())["expected"]
VALUES = st.lists(st.floats(-100, 100), min_size=3, max_size=30)


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("table", ["paired", "small_exact"])
def test_paired_matches_the_reference(table):
    expected = TABLES[table]["t_test"]
    found = paired_interval(TABLES[table]["difference"])
    assert (found.estimate, found.se, found.df) == (near(expected["mean"]), near(expected["se"]), expected["df"])
    assert (found.low, found.high) == (near(expected["lower95_one_sided"]), near(expected["upper95_one_sided"]))
    both = paired_interval(TABLES[table]["difference"], alpha=0.025)
    assert [both.low, both.high] == near(expected["ci95_two_sided"])
    assert (found.level, found.kind) == (0.95, "paired")


def test_clusters_match_the_reference():
    table = TABLES["clustered"]
    found = paired_interval(table["difference"], table["cluster"], alpha=0.025)
    assert found.se == near(table["CR1"]["se"])
    assert found.df == table["CR1"]["df"]
    assert [found.low, found.high] == near(table["CR1"]["ci95"])
    means = table["means_per_cluster_t"]
    one_sided = paired_interval(table["difference"], table["cluster"])
    assert (one_sided.low, one_sided.high) == (near(means["lower95_one_sided"]), near(means["upper95_one_sided"]))
    assert one_sided.se > 2 * paired_interval(table["difference"]).se


@pytest.mark.parametrize("row", [*TABLES["verdicts"], TABLES["verdict_on_clustered_cr1"]])
def test_verdicts_match_the_reference(row):
    found = t_interval(row["mean"], row["se"], row["df"], alpha=row["alpha_one_sided"])
    assert (found.low, found.high) == (near(row["lower"]), near(row["upper"]))
    assert non_inferiority(found, row["margin"]) == row["verdict"]
    assert p_inferior(found, row["margin"]) == near(row["p_inferior"])
    assert p_non_inferior(found, row["margin"]) == near(row["p_non_inferior"])


def test_lower_is_better_by_orientation():
    row = TABLES["lower_is_better_example"]
    found = paired_interval(np.subtract(row["baseline"], row["candidate"]))
    assert found.low == near(row["verdict"]["lower"])
    assert non_inferiority(found, row["verdict"]["margin"]) == row["verdict"]["verdict"]


def test_equal_differences_have_no_width():
    found = paired_interval(TABLES["zero_variance"]["difference"])
    assert (found.estimate, found.low, found.high, found.se) == (0.0, 0.0, 0.0, 0.0)
    assert non_inferiority(found, 0.01) == "non_inferior"
    assert (p_non_inferior(found, 0.01), p_inferior(found, 0.01)) == (0.0, 1.0)
    assert non_inferiority(found, 0.0) == "inconclusive"


def test_welch_agrees_with_scipy():
    a, b = [0.7, 0.61, 0.8, 0.55, 0.9], [0.5, 0.52, 0.49]
    reference = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    found = welch_interval(a, b)
    assert (found.low, found.high) == (near(reference.low), near(reference.high))


def test_pairing_beats_not_pairing():
    table = TABLES["paired"]
    assert paired_interval(table["difference"]).se < 0.4 * welch_interval(table["candidate"], table["baseline"]).se


def test_sign_flip_matches_the_reference():
    table = TABLES["small_exact"]
    expected = table["exact_sign_flip"]
    assert sign_flip(table["difference"]) == expected["p_two_sided"]
    assert sign_flip(table["difference"], "greater") == expected["p_greater"]
    assert sign_flip(table["difference"], "less") == expected["p_less"]


def test_mcnemar_matches_the_sign_test():
    expected = TABLES["paired"]["sign_test"]
    wins = expected["positive"]
    assert mcnemar(wins, expected["non_zero"] - wins) == near(expected["p_two_sided"])
    assert mcnemar(0, 0) == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: paired_interval([0.1]),
        lambda: paired_interval([0.1, math.nan]),
        lambda: paired_interval([0.1, 0.2], ["a"]),
        lambda: paired_interval([0.1, 0.2], ["a", "a"]),
        lambda: paired_interval([0.1, 0.2], alpha=0.9),
        lambda: paired_interval([[0.1, 0.2]]),
        lambda: welch_interval([0.1], [0.1, 0.2]),
        lambda: t_interval(0.0, -1.0, 3),
        lambda: t_interval(0.0, 1.0, 0),
        lambda: mcnemar(-1, 3),
        lambda: sign_flip([0.1] * 21),
        lambda: non_inferiority(Interval(0, -1, 1, 1, 3, 0.95, "paired"), -0.1),
        lambda: non_inferiority(Interval(0, -1, 1, 1, 3, 0.95, "paired"), math.nan),
    ],
)
def test_impossible_questions_are_refused(call):
    with pytest.raises(ValueError, match=r"\w"):
        call()


@settings(deadline=None, max_examples=60)
@given(VALUES, st.floats(-50, 50))
def test_shifting_every_difference_shifts_the_interval(values, shift):
    plain, moved = paired_interval(values), paired_interval(np.add(values, shift))
    assert moved.estimate == pytest.approx(plain.estimate + shift, abs=1e-9)
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_singleton_clusters_change_nothing_and_order_does_not_matter(values):
    plain = paired_interval(values)
    single = paired_interval(values[::-1], list(range(len(values))))
    assert single.se == pytest.approx(plain.se, rel=1e-9, abs=1e-9)
    assert single.df == plain.df


@settings(deadline=None, max_examples=60)
@given(VALUES, st.integers(2, 5))
def test_copies_of_a_sample_give_no_confidence(values, copies):
    labels = [i for i in range(len(values)) for _ in range(copies)]
    copied = paired_interval(np.repeat(values, copies), labels)
    assert copied.se == pytest.approx(paired_interval(values).se, rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(VALUES, st.floats(0, 10))
def test_better_and_worse_are_mirror_images(values, margin):
    found, mirrored = paired_interval(values), paired_interval(np.negative(values))
    assert mirrored.low == pytest.approx(-found.high, abs=1e-9)
    if found.se > 0:
        assert p_inferior(found, margin) + p_non_inferior(found, margin) == pytest.approx(1.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_symmetric_and_a_probability(wins, losses):
    assert 0 < mcnemar(wins, losses) <= 1
    assert mcnemar(wins, losses) == pytest.approx(mcnemar(losses, wins))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8))
def test_sign_flip_tails_overlap_only_at_ties(values):
    both, up, down = (sign_flip(values, side) for side in ("two-sided", "greater", "less"))
    assert both == pytest.approx(min(1.0, 2 * min(up, down)))
    assert up + down >= 1


def test_bounds_hold_as_often_as_they_say():
    rng = np.random.Generator(np.random.PCG64(3))
    draws, clusters = 3000, np.repeat(np.arange(8), 4)
    noise = rng.normal(0, 1, (draws, 8)).repeat(4, axis=1) + rng.normal(0, 0.5, (draws, 32))
    below = np.mean([paired_interval(row, clusters.tolist()).low <= 0 for row in noise])
    assert 0.94 < below < 0.96
    naive = np.mean([paired_interval(row).low <= 0 for row in noise[:1000]])
    assert naive < 0.88
