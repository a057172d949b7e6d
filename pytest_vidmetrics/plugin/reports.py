"""Every process's side of a run: what items found travels with their reports, and which gates there are."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_vidmetrics.plugin.items import GateItem
from pytest_vidmetrics.plugin.session import facts_of

WORKER_GATES = "vidmetrics_gates"


class ItemReports:
    """Attaches an item's facts to its report. Runs in every process; the facts are builtin types only.

    ``gates`` are the baseline files of all gates that were collected, also of those that were deselected later;
    ``manifests`` what their baselines call the manifests.
    """

    def __init__(self) -> None:
        self.gates: list[str] = []
        self.manifests: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember which gates exist, before anything is deselected."""
        gates = [item for item in items if isinstance(item, GateItem)]
        self.gates = [item.baseline_file() for item in gates]
        self.manifests = sorted({item.manifest_name() for item in gates})

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller, which collects nothing itself."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[WORKER_GATES] = [self.gates, self.manifests]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Copy ``item.vidmetrics_facts`` to the report of the call phase."""
        report = yield
        facts = getattr(item, "vidmetrics_facts", None)
        late = call.when == "teardown" and facts and facts.get("kind") == "check"  # checked by a fixture's teardown
        if facts and (call.when == "call" or late):
            report.vidmetrics = facts  # type: ignore[attr-defined]
        elif report.skipped and isinstance(item, GateItem):
            report.vidmetrics = {"kind": "gate"}  # type: ignore[attr-defined]
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show a gate whose baseline is being written as ``U``."""
        facts = facts_of(report) if report.when == "call" and report.passed else None
        if facts and facts.get("records"):
            return "passed", "U", "RECORDED"
        return None
