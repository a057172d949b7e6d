"""A gate, or a check of a test function, that came to a verdict, and what became of its test."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_vidmetrics.plugin.facts import Outcome


@dataclass(frozen=True)
class Judged:
    """``report`` is the outcome of the test; ``p_holm`` the p-value when all gates of the run are judged together.

    ``file`` and ``line`` are where the test stands: its manifest, or its test function.
    """

    outcome: Outcome
    report: str
    xfail: bool = False
    p_holm: float | None = None
    file: str = ""
    line: int = 1

    @property
    def is_dodged(self) -> bool:
        """Whether the verdict is red and the test did not fail for it."""
        # "rerun" is a failure that pytest-rerunfailures tries again.
        return not self.outcome.verdict.passed and self.report not in ("failed", "rerun")
