"""Clips of the next items are loaded while this one is scored."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_vidmetrics.plugin.score_item import ScoreItem
from pytest_vidmetrics.plugin.session import Run


class LoadingAhead:
    """Tells a run which scoring items follow. Runs in every process that runs items.

    Alone, a process will run what is left of the session. A worker of pytest-xdist only knows its next item. What an
    item passes over, by ``-x`` or a skip mark, is not scored; nothing depends on the order.
    """

    def __init__(self, run: Run, *, is_worker: bool) -> None:
        self._run, self._is_worker = run, is_worker
        self._told: set[pytest.Item] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Announce what comes after an item, before it runs."""
        if self._is_worker:
            self._announce([item] if nextitem is None else [item, nextitem])
        elif not self._told:
            self._announce(item.session.items)

    def pytest_sessionfinish(self) -> None:
        """Stop loading, however the run ended."""
        self._run.close()

    def _announce(self, items: Iterable[pytest.Item]) -> None:
        for item in items:
            if item not in self._told and isinstance(item, ScoreItem):
                self._run.ahead.announce([step.job for step in item.steps])
            self._told.add(item)
