"""How much changes that make nothing worse move a score: what a margin has to allow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_vidmetrics.core.wire import Wire


@dataclass(frozen=True)
class NeutralShift(Wire):
    """How far a score moves when a generator's clips change without getting worse, in the metric's unit.

    ``clip`` is the largest shift measured on a single clip (another GPU, attention back end or library version);
    clips move independently, so that the shift of a mean shrinks with the root of their number. ``common`` is what
    moves all clips alike, such as another conversion to RGB, and does not shrink. ``source`` says where it was
    measured.
    """

    clip: float
    common: float = 0.0
    source: str = "docs/margins.md"

    def __post_init__(self) -> None:
        if not (self.clip >= 0 and self.common >= 0 and math.isfinite(self.clip) and math.isfinite(self.common)):
            raise ValueError(f"shifts are finite and at least 0, got clip={self.clip}, common={self.common}")

    def at(self, n: int) -> float:
        """Return the shift that the mean of ``n`` independent clips (or clusters of them) may show, ``n >= 1``."""
        if n < 1:
            raise ValueError(f"a mean needs at least one clip, got n={n}")
        # Independent parts add up as squares.
        return math.hypot(self.clip / math.sqrt(n), self.common)
