"""A tighter margin for a gate that was green for long: what its own runs needed, offered and never taken by itself."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_vidmetrics.core.wording import number
from pytest_vidmetrics.gates.record import GateRecord

FEWEST = 8
"""Green runs in a row, of other scores each: fewer know their own spread too badly."""

_GREEN = ("PASS", "IMPROVED")
_WORTH = 0.9
"""A margin is offered when it is at most this share of the one that the gate has."""


@dataclass(frozen=True)
class Offer:
    """``abs`` would have held ``runs`` green runs, whose largest harm was ``worst``, and should hold further ones."""

    abs: float
    margin: float
    runs: int
    worst: float

    def text(self) -> str:
        """Return the offer as a reader sees it."""
        return (
            f"ratchet: {self.runs} green runs in a row were worse by {number(self.worst)} at most; abs = "
            f"{self.abs:g} holds them and 95 % of further ones (the margin is {number(self.margin)})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return builtin values."""
        return asdict(self)


def offered(runs: Sequence[GateRecord]) -> Offer | None:
    """Return a tighter margin for a gate with ``ratchet = true``, from its runs by time; ``None`` without one.

    Looks at the last green runs in a row against the same score and metric. Runs with the score of another count
    once. The margin is the upper tolerance bound of their harms (95 % of further runs, held with 95 %), rounded up.
    """
    from pytest_vidmetrics.stats.power import tolerance_factor

    if not runs or not runs[-1].policy.ratchet:
        return None
    last, harms = runs[-1], dict[float | None, float]()
    for one in reversed(runs):
        # The first run that is not green, or was against another baseline, ends the row.
        if one.verdict.status not in _GREEN or one.verdict.harm is None or _against(one) != _against(last):
            break
        harms.setdefault(one.verdict.now, one.verdict.harm)
    margin = last.verdict.margin
    if len(harms) < FEWEST or margin is None:
        return None
    values = list(harms.values())
    bound = statistics.fmean(values) + tolerance_factor(len(values)) * statistics.stdev(values)
    floor = last.scores.noise_floor if last.scores is not None else 0.0
    # Never below a harm that was green, nor below what the metric itself calls noise.
    held = _up(max(bound, floor, *values))
    return Offer(held, margin, len(values), max(values)) if 0.0 < held <= _WORTH * margin else None


def _against(gate: GateRecord) -> tuple[Any, ...]:
    return gate.verdict.baseline, gate.scores.metric if gate.scores is not None else None


def _up(value: float) -> float:
    """Return the next number of two significant digits that is not smaller."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    # Less a rounding error: 1.1 / 0.1 is 11.000000000000002, which is not 12 steps.
    return float(f"{math.ceil(value / step - 1e-9) * step:.2g}")
