"""What is being scored and how long the rest will take: a line now and then, between those of pytest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.config import Config
    from _pytest.terminal import TerminalReporter

ON_TERMINAL = 10.0
"""Seconds between two lines where a person watches."""
IN_LOG = 60.0
"""Seconds between two lines where the output is a file."""
_SCORES = "::score["


class Progress:
    """Counts the scoring items of a run, whichever process runs them. Registered on the controller only."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._clock = config, clock
        self._total = self._done = 0
        self._began = self._said = clock()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what this process is to run; under xdist its workers say what they collected."""
        self._begin([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Count what the workers are to run: each collects the same."""
        self._begin(ids)

    def _begin(self, ids: Sequence[str]) -> None:
        self._total = sum(_SCORES in id for id in ids)
        self._began = self._said = self._clock()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Say how far the scoring is, if that was not said for a while and there is more to do."""
        # The last phase of an item: it is done.
        if report.when != "teardown" or _SCORES not in report.nodeid:
            return
        self._done += 1
        terminal: TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or self._config.option.verbose < 0:
            return
        now = self._clock()
        pause = ON_TERMINAL if terminal.isatty else IN_LOG
        if self._done < self._total and now - self._said >= pause:
            self._said = now
            left = (now - self._began) / self._done * (self._total - self._done)
            case = "::".join(report.nodeid.split("::")[1:])
            terminal.write_line(f"scored {self._done} of {self._total}, now {case}; about {duration(left)} left")


def duration(seconds: float) -> str:
    """Return a time span as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
