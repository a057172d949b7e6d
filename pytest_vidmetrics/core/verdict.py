"""Verdicts: the outcome of a gate. Nothing that is missing, skipped or NaN is ever among the passing ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

from pytest_vidmetrics.core.wire import Wire

Status = Literal[
    "PASS",
    "IMPROVED",
    "REGRESSED",
    "MISSING",
    "STALE",
    "ERROR",
    "UNAVAILABLE",
    "SKIPPED",
    "RECORDED",
    "UPDATED",
    "UNCHANGED",
    "CALIBRATED",
]


PASSING: frozenset[Status] = frozenset({"PASS", "IMPROVED", "RECORDED", "UPDATED", "UNCHANGED", "CALIBRATED"})


@final
@dataclass(frozen=True)
class ClipChange(Wire):
    """One clip's share in a verdict. ``harm`` is positive when the clip got worse."""

    id: str
    path: str
    baseline: float | None
    now: float
    harm: float


@final
@dataclass(frozen=True)
class Verdict(Wire):
    """The outcome of one gate. ``reason`` is one sentence; ``notes`` are further lines for the reader.

    Plain data: what says whether a gate passes is computed from ``status`` alone, and nothing is a verdict that is an
    instance of a subclass.
    """

    status: Status
    reason: str
    metric: str = ""
    baseline: float | None = None
    now: float | None = None
    harm: float | None = None
    margin: float | None = None
    margin_from: str = ""
    sees: float | None = None
    """The detection limit: the smallest harm that the gate catches four times out of five; ``None``: not known."""
    interval: tuple[float, float] | None = None
    p: float | None = None
    n: int = 0
    decide: str = "point"
    notes: tuple[str, ...] = ()
    worst: tuple[ClipChange, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the gate's test passes."""
        return self.status in PASSING
