"""Offers of a tighter margin: after enough green runs in a row, from what they needed, and only where asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.core.policy import Policy, policy_fault
from pytest_vidmetrics.core.verdict import Status
from pytest_vidmetrics.gates.ratchet import offered
from pytest_vidmetrics.gates.record import GateRecord, write_record
from tests.support.run_records import gate, record

ASKED = Policy(abs=2.0, ratchet=True)
HARMS = (0.1, -0.05, 0.2, 0.0, 0.12, -0.1, 0.05, 0.15, 0.08)


def run(harm: float, status: Status = "PASS", policy: Policy = ASKED, **facts: Any) -> GateRecord:
    found = gate("common.psnr", {"a": 36.0 - harm}, {"a": 36.0}, status=status, **{"margin": 2.0, **facts})
    return replace(found, policy=policy)


def test_green_runs_in_a_row_offer_what_they_needed() -> None:
    offer = offered([run(harm) for harm in HARMS])
    assert offer is not None
    assert (offer.runs, offer.margin) == (9, 2.0)
    assert offer.worst == pytest.approx(0.2)
    assert 0.2 < offer.abs < 0.6
    assert f"abs = {offer.abs:g} holds them" in offer.text()


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [run(harm) for harm in HARMS[:7]],
        [run(0.1)] * 20,  # the same clips judged again say nothing
        [run(harm, policy=Policy(abs=2.0)) for harm in HARMS],
        [*map(run, HARMS[:5]), run(3.0, "REGRESSED"), *map(run, HARMS[5:])],
        [*map(run, HARMS[:5]), *(run(harm, baseline=35.0) for harm in HARMS[5:])],
        [run(harm, margin=0.3) for harm in HARMS],
        [run(10 * harm) for harm in HARMS],
    ],
    ids=["none", "few", "equal", "not asked", "a red one", "another baseline", "tight already", "wide spread"],
)
def test_nothing_is_offered_where_nothing_was_shown(runs: list[GateRecord]) -> None:
    assert offered(runs) is None


def test_an_offer_holds_most_further_runs() -> None:
    rng = np.random.default_rng(5)
    held = []
    for _ in range(200):
        offer = offered([run(float(harm), margin=100.0) for harm in rng.normal(0.0, 1.0, 10)])
        assert offer is not None
        held.append(float(np.mean(rng.normal(0.0, 1.0, 500) <= offer.abs)))
    assert np.mean(np.asarray(held) >= 0.95) >= 0.9


def test_history_prints_the_offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for day, harm in enumerate(HARMS, start=1):
        one = record([run(harm)], time=f"2026-03-{day:02d}T12:00:00+00:00", checkpoint=f"step-{day}")
        write_record(tmp_path / f"run{day}.json", one, tmp_path)
    assert main(["history", "common.psnr", "--records", "."]) == 0
    assert "ratchet: 9 green runs in a row were worse by 0.2 at most" in capsys.readouterr().out


def test_the_key_is_true_or_false() -> None:
    assert policy_fault("ratchet", True) == ""
    assert policy_fault("ratchet", "yes") == "ratchet must be true or false, got 'yes'"
