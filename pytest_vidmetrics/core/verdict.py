"""Verdicts: the outcome of a gate. Nothing that is missing, skipped or NaN is ever among the passing ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

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
]


PASSING: frozenset[Status] = frozenset({"PASS", "IMPROVED", "RECORDED", "UPDATED", "UNCHANGED"})


@dataclass(frozen=True)
class ClipChange:
    """One clip's share in a verdict. ``harm`` is positive when the clip got worse."""

    id: str
    path: str
    baseline: float | None
    now: float
    harm: float


@dataclass(frozen=True)
class Verdict:
    """The outcome of one gate. ``reason`` is one sentence; ``notes`` are further lines for the reader."""

    status: Status
    reason: str
    metric: str = ""
    baseline: float | None = None
    now: float | None = None
    harm: float | None = None
    margin: float | None = None
    margin_from: str = ""
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

    def to_json(self) -> dict[str, Any]:
        """Return builtin values only, fit for a report that crosses processes."""
        tree = asdict(self)
        tree["notes"] = list(self.notes)
        tree["interval"] = list(self.interval) if self.interval else None
        tree["worst"] = [asdict(clip) for clip in self.worst]
        tree["details"] = dict(self.details)
        return tree
