"""What a gate can see: the smallest harm that it would catch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import number
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.margin import Margin, independent

if TYPE_CHECKING:
    from pytest_vidmetrics.stats.intervals import Interval

POWER = 0.8
"""With what chance a gate catches a harm of the size of its detection limit."""


def detection_limit(policy: Policy, baseline: Baseline, margin: Margin, harms: Interval | None) -> float | None:
    """Return the smallest true harm that the gate fails on with the chance :data:`POWER`, or ``None`` if unknown.

    The error of the harm is that of the paired differences of this run, or that of the measured noise where this is
    larger: clips that did not change at all have no differences, and those of the next checkpoint will.
    """
    from pytest_vidmetrics.stats.power import smallest_harm

    if policy.decide == "sequential":
        return margin.value  # a harm of the margin passes with a chance of alpha at most, however many clips it takes
    errors: list[tuple[float, float]] = []
    if harms is not None:
        errors.append((harms.se, harms.df))
    if baseline.noise is not None:
        # A difference of two scores, each with that noise.
        errors.append((math.sqrt(2.0) * baseline.noise.sigma, float(baseline.noise.runs - 1)))
    if not errors:
        return None
    # The largest error; of equal ones that with more degrees of freedom.
    error, freedom = max(errors)
    found = smallest_harm(policy.decide, error, freedom, margin.value, alpha=policy.alpha, power=POWER)
    return found if math.isfinite(found) else None


def too_blind(policy: Policy, observed: CorpusScore, limit: float | None, margin: Margin) -> str:
    """Return why a gate does not see what the manifest asks of it; empty when it does, or nothing is asked."""
    if policy.sees is None:
        return ""
    if limit is None:
        return (
            f"sees = {policy.sees:g} is asked, and what this gate sees is not known: it needs at least two independent "
            "samples, or measured noise (--vidmetrics-calibrate)"
        )
    if limit <= policy.sees:
        return ""
    n = independent(observed)
    why = (
        f"the margin alone is {number(margin.value)} ({margin.source})"
        if margin.value > policy.sees
        else f"{n} independent samples scatter too much"
    )
    return f"this gate sees a harm from {number(limit)} on, and sees = {policy.sees:g} is asked: {why}"
