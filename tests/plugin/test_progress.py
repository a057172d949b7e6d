"""Long runs say what they score and how long the rest takes; short ones say nothing."""

from __future__ import annotations

import types
from typing import Any

import pytest

from pytest_vidmetrics.plugin import progress
from pytest_vidmetrics.plugin.progress import Progress, duration
from tests.plugin.conftest import Bench


class Terminal:
    def __init__(self, isatty: bool) -> None:
        self.isatty, self.lines = isatty, []

    def write_line(self, text: str) -> None:
        self.lines.append(text)


def watched(isatty: bool, seconds_each: float, items: int, verbose: int = 0) -> list[str]:
    """Return what is said while items take their time."""
    terminal, now = Terminal(isatty), [0.0]
    manager = types.SimpleNamespace(get_plugin=lambda name: terminal)
    config: Any = types.SimpleNamespace(pluginmanager=manager, option=types.SimpleNamespace(verbose=verbose))
    told = Progress(config, clock=lambda: now[0])
    ids = [f"bench.toml::i2v::score[{i}]" for i in range(items)]
    told.pytest_xdist_node_collection_finished(None, [*ids, "bench.toml::i2v::common.psnr"])
    for id in [*ids, "bench.toml::i2v::common.psnr"]:
        now[0] += seconds_each
        for when in ("setup", "call", "teardown"):
            report: Any = types.SimpleNamespace(when=when, nodeid=id)
            told.pytest_runtest_logreport(report)
    return terminal.lines


def test_a_log_has_one_line_a_minute_and_a_terminal_more() -> None:
    in_log = watched(False, 15.0, 12)
    assert in_log == [
        "scored 4 of 12, now i2v::score[3]; about 2 min left",
        "scored 8 of 12, now i2v::score[7]; about 60 s left",
    ]
    assert len(watched(True, 15.0, 12)) == 11
    assert watched(True, 0.5, 12) == []
    assert watched(True, 15.0, 12, verbose=-1) == []


def test_durations_are_short() -> None:
    assert [duration(s) for s in (0.0, 59.6, 150.0, 7200.0)] == ["1 s", "60 s", "2 min", "2.0 h"]


def test_a_run_says_it_between_its_items(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "IN_LOG", 0.0)
    result = bench.run("--update-baselines")
    result.assert_outcomes(passed=6)
    assert sum(line.startswith("scored ") for line in result.outlines) == 3
    result.stdout.fnmatch_lines(["scored 1 of 4, now demo::score*; about * left"])
