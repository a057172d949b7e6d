"""Every process's side of a run: what items found travels with their reports, and which gates there are."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from types import FrameType

import pytest

from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.gates.prune import recorders
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.plugin.command import node_names, shown_id
from pytest_vidmetrics.plugin.facts import ItemFacts, attach, facts_of, news_of
from pytest_vidmetrics.plugin.gate_item import GateItem
from pytest_vidmetrics.plugin.session import Run

WORKER_COLLECTED = "vidmetrics_collected"
# Modules of pytest that leave items out because the user's options say so: -k and -m, --deselect, --lf, --sw.
_SELECTING = ("_pytest.mark", "_pytest.main", "_pytest.cacheprovider", "_pytest.stepwise")


@dataclass(frozen=True)
class Collected(Wire):
    """What one process collected, also what was deselected later.

    ``gates`` are the keys of baselines that each gate may have; ``left_out`` the gates that the user's own options
    deselected; ``manifests`` what recorders call the manifests; ``tests`` the test functions of files with baselines.
    """

    gates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ItemReports:
    """Attaches an item's facts to its report. Runs in every process; the facts are builtin types only."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._gates: dict[str, GateItem] = {}
        self._left_out: set[str] = set()
        self._tests: dict[str, list[str]] = {}
        self._test_files = {
            str(one.path(run.folder.path)): one.file for one in recorders(run.folder).values() if one.kind == "check"
        }

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember which gates exist, before anybody can take them away."""
        if isinstance(item, GateItem):
            self._gates[shown_id(item)] = item
        elif (file := self._test_files.get(str(item.path))) is not None:
            self._tests.setdefault(file, []).append("::".join(node_names(item)))

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Remember which gates the user's own selection left out."""
        # A hook of a plugin or conftest.py that deselects is not the user's own selection.
        if _caller(sys._getframe()).startswith(_SELECTING):
            self._left_out.update(shown_id(item) for item in items if isinstance(item, GateItem))

    @property
    def collected(self) -> Collected:
        """What this process collected."""
        folder = self.run.folder.path
        owners = {Recorder.of("manifest", item.manifest.path, folder, "", "").file for item in self._gates.values()}
        return Collected(
            gates={label: item.seat.keys() for label, item in self._gates.items()},
            left_out=tuple(sorted(self._left_out)),
            manifests=tuple(sorted(owners)),
            tests={file: tuple(names) for file, names in self._tests.items()},
        )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller, which collects nothing itself."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[WORKER_COLLECTED] = self.collected.to_wire()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what the item says on the report of the phase in which it said so; a setup that passed waits."""
        report = yield
        facts = news_of(item) if call.when != "setup" or report.failed else None
        judged = facts is not None and any(outcome.kind == "gate" for outcome in facts.outcomes)
        if report.skipped and isinstance(item, GateItem) and not judged:
            facts = replace(facts or ItemFacts(), unjudged=shown_id(item))
        if facts is not None:
            attach(report, facts)
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show a gate whose baseline is being written as ``U``."""
        facts = facts_of(report) if report.when == "call" and report.passed else None
        if facts is not None and any(outcome.record is not None for outcome in facts.outcomes):
            return "passed", "U", "RECORDED"
        return None


def _caller(frame: FrameType | None) -> str:
    """Return the module that called a hook: the first one that is neither this one nor pluggy's."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name != __name__ and not name.startswith("pluggy"):
            return name
        frame = frame.f_back
    return ""
