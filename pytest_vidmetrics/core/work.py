"""How much work was done: clips decoded, results computed, results reused from the store."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_vidmetrics.core.wire import Wire


@dataclass(frozen=True)
class Work(Wire):
    """Counts of one item, or of a whole run."""

    decoded: int = 0
    computed: int = 0
    reused: int = 0

    def __add__(self, other: Work) -> Work:
        """Return the work of both."""
        return Work(self.decoded + other.decoded, self.computed + other.computed, self.reused + other.reused)

    def __sub__(self, other: Work) -> Work:
        """Return what was done since ``other``."""
        return Work(self.decoded - other.decoded, self.computed - other.computed, self.reused - other.reused)

    def __str__(self) -> str:
        """Return the counts for the summary."""
        return f"{self.decoded} decoded, {self.computed} computed, {self.reused} reused"
