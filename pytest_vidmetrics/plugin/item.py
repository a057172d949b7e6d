"""What all items of a manifest are: test functions made from data, with messages instead of tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import printable
from pytest_vidmetrics.core.work import Work
from pytest_vidmetrics.plugin.facts import Outcome, facts_so_far, say

OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception, SystemExit)
"""What a metric or hook may raise that is not an ``Exception``: pytest.skip() and pytest.importorskip(), pytest.fail()
and pytest.xfail(), sys.exit(). Its gate would be skipped, or be missing from the table."""


class RefusalError(Exception):
    """A red item whose text is meant for people: shown without a traceback."""


class DataItem(pytest.Function):
    """A test function made from data: real fixtures, marks and selection."""

    line: int

    @classmethod
    def from_data(cls, parent: pytest.Collector, name: str, line: int) -> Self:
        """Return an item whose test calls :meth:`execute`; ``line`` is that of its case in the manifest."""
        # The test is there before its item, and calls what is put here.
        holder: list[Callable[[], None]] = []

        def test() -> None:
            holder[0]()

        item: Self = cls.from_parent(parent, name=name, callobj=test)
        holder.append(item.execute)
        item.line = line
        return item

    def execute(self) -> None:
        """Do the item's work; raises :class:`RefusalError` to fail."""
        raise NotImplementedError

    def say(self, outcomes: tuple[Outcome, ...], work: Work, device: str) -> None:
        """Let the item's report carry what it found, beside what its fixtures checked."""
        before = facts_so_far(self)
        # A gate may have fixtures that make checks: their outcomes stay.
        checks = tuple(outcome for outcome in before.outcomes if outcome.kind == "check")
        say(self, replace(before, outcomes=(*outcomes, *checks), work=work, device=device))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the line of the case and a title: pytest needs a whole number here for skip marks.

        The title is not the end of the node id: pytest would print the dots of a gate's name as ``::``, which makes
        ids that nobody can paste.
        """
        # pytest counts lines from 0.
        return self.path, self.line - 1, " :: ".join(self.nodeid.split("::")[1:])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a refusal as its text and anything else as pytest does."""
        if isinstance(excinfo.value, (RefusalError, VidmetricsError)):
            return printable(str(excinfo.value))
        return super().repr_failure(excinfo)


class BrokenItem(DataItem):
    """Fails with the reason why a manifest or its samples cannot be used."""

    message: str

    @classmethod
    def make(cls, parent: pytest.Collector, name: str, message: str) -> BrokenItem:
        """Return the item; ``message`` starts with ``file:line``."""
        item = cls.from_data(parent, name, 1)
        item.message = message
        return item

    def execute(self) -> None:
        """Fail."""
        raise RefusalError(self.message)
