from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.stats.binary import mcnemar_worse, paired_shares
from pytest_vidmetrics.stats.intervals import mcnemar, paired_interval

TABLES = json.loads((Path(__file__).parents[1] / "data" / "stats" / "gate_tables.json").read_text())["expected"]


@settings(max_examples=60, deadline=None)
@given(wins=st.integers(0, 40), losses=st.integers(0, 40), ties=st.integers(2, 200))
def test_the_bounds_and_the_exact_test_agree(wins: int, losses: int, ties: int) -> None:
    found = paired_shares(wins, losses, wins + losses + ties)
    assert found.low <= found.estimate <= found.high
    if found.high < 0:
        assert mcnemar_worse(wins, losses) <= 0.05
    mirrored = paired_shares(losses, wins, wins + losses + ties)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


def test_one_side_is_half_of_two() -> None:
    for wins, losses in ((0, 5), (3, 9), (20, 31)):
        assert mcnemar_worse(wins, losses) == pytest.approx(mcnemar(wins, losses) / 2)
    assert mcnemar_worse(4, 4) > 0.5
    assert mcnemar_worse(3, 0) == mcnemar_worse(0, 0) == 1.0


@pytest.mark.parametrize("row", TABLES["pass_rate_intervals"])
def test_the_exact_bounds_are_those_of_clopper_and_pearson(row: dict) -> None:
    """With all pairs discordant the share of wins is the whole story."""
    wins, n = row["passes"], row["n"]
    found = paired_shares(wins, n - wins, n, alpha=0.025)
    usual = paired_interval([1.0] * wins + [-1.0] * (n - wins), alpha=0.025)
    low, high = (2 * share - 1 for share in row["clopper_pearson95"])
    assert found.low == pytest.approx(min(low, usual.low))
    assert found.high == pytest.approx(max(high, usual.high))


def test_pairs_that_all_agree_have_an_interval_of_no_width() -> None:
    found = paired_shares(0, 0, 9)
    assert (found.low, found.estimate, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("n", "share", "margin"), [(40, 0.2, 0.0), (72, 0.05, 0.02), (72, 0.3, 0.05), (300, 0.1, 0.05)]
)
def test_false_alarms_stay_below_six_percent(n: int, share: float, margin: float) -> None:
    """``share`` of the pairs change sides, so that the candidate is worse by exactly ``margin``."""
    generator = np.random.default_rng(n)
    losing, winning = (share + margin) / 2, (share - margin) / 2
    counts = generator.multinomial(n, [losing, winning, 1 - share], size=1500)
    alarms = sum(paired_shares(int(won), int(lost), n).high < -margin for lost, won, _ in counts)
    assert alarms <= 0.06 * len(counts)


@pytest.mark.parametrize(("wins", "losses", "n"), [(-1, 0, 4), (3, 2, 4), (0, 0, 1)])
def test_counts_that_do_not_fit(wins: int, losses: int, n: int) -> None:
    with pytest.raises(ValueError, match=r"are not a part of|at least 2"):
        paired_shares(wins, losses, n)
