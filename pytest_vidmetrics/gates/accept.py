"""A score of a run record as the baseline that ``--update-baselines`` would have written."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.record import RUN_FACTS, GateRecord

CHANGED = ("REGRESSED", "IMPROVED", "MISSING", "STALE")


def acceptable(gate: GateRecord) -> str:
    """Return why a gate has nothing to accept; empty when it has."""
    if gate.verdict.status not in CHANGED:
        return f"it is {gate.verdict.status}, there is nothing to accept"
    if gate.scores is None or gate.scores.score is None or gate.recorded_by is None:
        return "it has no score to accept"
    if gate.scores.drawn is not None:
        return f"only {gate.scores.n} of {gate.scores.drawn.listed} samples were scored; record all: --update-baselines"
    return ""


def accepted(folder: BaselineFolder, gate: GateRecord, environment: Mapping[str, str]) -> Baseline:
    """Return the baseline to write, with the noise that was measured for the same metric."""
    assert gate.scores is not None, "only gates with a score can be accepted"
    assert gate.recorded_by is not None, "only gates that say whose they are can be accepted"
    old = None
    with contextlib.suppress(BaselineError):  # a damaged one is replaced
        old = folder.read(gate.file)
    # Noise that was measured for the same metric stays true when its score changes.
    noise = old.noise if old is not None and old.scores.metric == gate.scores.metric else None
    # A baseline does not change with the commit or the hour that it was recorded in.
    facts = {key: value for key, value in environment.items() if key not in RUN_FACTS}
    return Baseline.of(gate.scores, gate.recorded_by, facts, noise, gate.policy)
