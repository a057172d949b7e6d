"""The controller's side of a run: it collects verdicts from reports, writes files once, and prints one section."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.gates.baseline import write_baseline
from pytest_vidmetrics.gates.case import SUFFIXES
from pytest_vidmetrics.gates.prune import surplus_baselines
from pytest_vidmetrics.gates.record import write_record
from pytest_vidmetrics.plugin.options import Settings
from pytest_vidmetrics.plugin.reports import ItemReports
from pytest_vidmetrics.plugin.session import environment, facts_of
from pytest_vidmetrics.plugin.terminal import passing_notes, summary_rows, table

if TYPE_CHECKING:
    from _pytest.config import Config
    from _pytest.terminal import TerminalReporter

_FAMILY_ALPHA = 0.05
_STOPPED = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)


class Recording:
    """Collects what items report, and acts on it when the run is over. Only the controller has one."""

    def __init__(self, config: Config, settings: Settings, collected: ItemReports) -> None:
        self.config, self.settings, self.collected = config, settings, collected
        self.gates: dict[tuple[str, str], dict[str, Any]] = {}
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.claims: dict[str, dict[str, str]] = {}
        self.skips = False
        self.failed: set[tuple[str, str]] = set()
        self.unjudged: list[str] = []
        self.work = {"decoded": 0, "computed": 0, "reused": 0}
        self.lines: list[str] = []
        self.family = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the facts of an item; forget what it would record when its teardown failed."""
        own = report.nodeid, report.location[0]  # files outside of pytest's rootdir have no part in node ids
        if report.failed:
            self.failed.add(own)
            self.records.pop(own, None)
        self.skips = self.skips or report.skipped
        facts = facts_of(report)
        if facts is not None and report.when == "setup":
            self.unjudged.append(report.nodeid)  # a gate that a mark or a fixture skipped
        if facts is None or report.when == "setup":
            return
        for key, value in facts.get("work", {}).items():
            self.work[key] += value
        for path, check in facts.get("claims", {}).items():
            self.claims.setdefault(path.casefold(), {})[check] = path
        if own not in self.failed and report.passed and facts.get("records"):
            self.records[own] = facts["records"]
        if facts["kind"] == "gate" and "verdict" in facts:
            self.gates[own] = dict(facts, outcome=report.outcome)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write baselines, prune and report. What cannot be written makes the run fail and is named."""
        problems = self._nothing_compared(session) + self._shared_files()
        self.family = self._holm([self.gates[nodeid] for nodeid in sorted(self.gates)])
        if self.settings.update or self.settings.calibrate:
            problems += self._update(stopped=exitstatus in _STOPPED)
        if self.settings.prune:
            problems += self._prune(session, exitstatus)
        elif not self.config.option.collectonly and not self._partial(session, exitstatus):
            self._name_surplus()
        if self.settings.report is not None:
            problems += self._report(self.settings.report)
        self.lines += [f"ERROR: {problem}" for problem in problems]
        if problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _nothing_compared(self, session: pytest.Session) -> list[str]:
        """Return what is wrong when gates were asked for, by whatever option, and none was judged."""
        green = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        judged = self.settings.part or any(gate["outcome"] != "skipped" for gate in self.gates.values())
        if judged or not green or self.config.option.collectonly:
            return []
        if not self.collected.gates:
            none = self._asked() and not self._narrowed()
            return [f"{self._subject()}: no case of a collected manifest has such a gate"] if none else []
        if not self.gates and self._narrowed():  # the user's own -k left the gates out
            return []
        if self.settings.allow_unavailable and self.skips:
            self.lines.append("every gate was skipped, NO GATE WAS JUDGED")
            return []
        return [f"{self._subject()}: every gate was {'skipped' if self.skips else 'deselected'}"]

    def _subject(self) -> str:
        asked = ",".join(self.settings.selection or ())
        return f"--vidmetrics={asked} compared nothing" if asked else "the manifests that were named compared nothing"

    def _asked(self) -> bool:
        """Whether this very run is meant to compare: what an ini file selects concerns runs of other tests too."""
        config = self.config
        if any(str(argument).endswith(SUFFIXES) for argument in config.args):
            return True
        if config.getoption("vidmetrics") is None:
            return False
        words = [*map(str, config.invocation_params.args), *shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))]
        everything = (
            config.args_source is not config.ArgsSource.ARGS and config.invocation_params.dir == config.rootpath
        )
        return everything or any(word.split("=")[0] == "--vidmetrics" for word in words)

    def _shared_files(self) -> list[str]:
        """Return which checks of test functions have one baseline file: workers see their own checks only."""
        shared = [checks for checks in self.claims.values() if len(checks) > 1]
        return [
            f"{' and '.join(sorted(checks))} have the same baseline file {self._shown(Path(min(checks.values())))}: "
            "rename one"
            for checks in shared
        ]

    def _update(self, *, stopped: bool) -> list[str]:
        if stopped:
            if self.records:
                done = len(self.records)
                self.lines.append(f"interrupted: {done} finished gates were not recorded, baselines are as before")
            return []
        problems, written = [], 0
        for path, baseline in (pair for records in self.records.values() for pair in records.items()):
            if len(self.claims.get(path.casefold(), ())) > 1:
                continue
            try:
                write_baseline(Path(path), baseline)
                written += 1
            except BaselineError as error:
                problems.append(str(error))
        self.lines.append(f"{written} baselines written below {self._shown(self.settings.baseline_dir)}")
        return problems

    def _prune(self, session: pytest.Session, exitstatus: int) -> list[str]:
        if reason := self._partial(session, exitstatus):
            return [f"--prune-baselines needs a full run: {reason}; nothing was deleted"]
        for path in self._surplus():
            path.unlink()
            self.lines.append(f"deleted {self._shown(path)}")
        return []

    def _surplus(self) -> list[Path]:
        collected = self.collected
        return surplus_baselines(self.settings.baseline_dir, map(Path, collected.gates), collected.manifests)

    def _name_surplus(self) -> None:
        """Say which baselines no gate of a full run uses, as after a case was renamed."""
        surplus = self._surplus()
        if surplus:
            names = ", ".join(map(self._shown, surplus[:3])) + (f" and {len(surplus) - 3} more" if surplus[3:] else "")
            self.lines.append(f"{len(surplus)} baselines belong to no gate: {names}; --prune-baselines deletes them")

    def _partial(self, session: pytest.Session, exitstatus: int) -> str:
        """Return why this run did not see every gate, or nothing."""
        if self.settings.selection is not None and "all" not in self.settings.selection:
            return "--vidmetrics must be 'all'"
        if narrowed := self._narrowed():
            return narrowed
        if self.settings.part or exitstatus in _STOPPED or session.shouldstop or session.shouldfail:
            return "the run was stopped early or is a shard"
        return "" if self.collected.gates else "no gate was collected"

    def _narrowed(self) -> str:
        """Return by which option items were selected, or nothing."""
        for name in ("keyword", "markexpr", "lf", "failedfirst", "deselect", "stepwise"):
            if getattr(self.config.option, name, None):
                return f"items were selected ({name})"
        return "single items were named" if any("::" in str(argument) for argument in self.config.args) else ""

    def _report(self, path: Path) -> list[str]:
        gates = [{key: value for key, value in gate.items() if key != "records"} for gate in self.gates.values()]
        try:
            write_record(path, gates, self.work, environment(self.config, self.settings), self.config.rootpath)
        except OSError as error:
            return [f"cannot write the report {path}: {error.strerror or error}"]
        self.lines.append(f"report written to {self._shown(path)}")
        return []

    def _shown(self, path: Path) -> str:
        root = self.config.rootpath
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the one section of this plugin: a row per gate, the work done, the next command."""
        if self.settings.part:
            k, n = self.settings.part
            self.lines.append(f"shard {k}/{n} ({self.settings.shard_from}): clips were scored, NO GATE WAS JUDGED")
        if not self.gates and not self.lines:
            return
        terminalreporter.section("video metrics")
        gates = [self.gates[nodeid] for nodeid in sorted(self.gates)]
        if gates:
            for line in table(summary_rows(gates)):
                terminalreporter.line(line)
            if self.config.option.verbose > 0:
                self._clips(terminalreporter, gates)
            for line in filter(None, (self._cohort(gates), self.family, self._skipped(gates), *passing_notes(gates))):
                terminalreporter.line(line)
            counts = ", ".join(f"{value} {key}" for key, value in self.work.items())
            terminalreporter.line(f"work: {counts}")
        for line in [*self.lines, self._next(gates)]:
            if line:
                terminalreporter.line(line)

    def _cohort(self, gates: list[dict[str, Any]]) -> str:
        """Return which baselines the cohort of this run has."""
        if not (name := self.settings.cohort):
            return ""
        own = sum(gate["cohort"] == name for gate in gates)
        rest = "" if own == len(gates) else "; the others are judged by the common ones"
        return f"cohort {name}: {own} of {len(gates)} gates have baselines of its own{rest}"

    def _skipped(self, gates: list[dict[str, Any]]) -> str:
        """Return how many gates say nothing, so that nobody takes them for green."""
        count = sum(gate["verdict"]["status"] == "SKIPPED" for gate in gates) + len(self.unjudged)
        known = len(gates) + len(self.unjudged)
        return f"skipped: {count} of {known} gates were NOT JUDGED; -rs prints the reasons" if count else ""

    def _holm(self, gates: list[dict[str, Any]]) -> str:
        """Return how many regressions stand when all gates of the run are judged together."""
        tested = [gate for gate in gates if gate["verdict"]["p"] is not None]
        if len(tested) < 2 or not any(gate["verdict"]["status"] == "REGRESSED" for gate in tested):
            return ""
        from pytest_vidmetrics.stats.multiplicity import holm

        for gate, adjusted in zip(tested, holm([gate["verdict"]["p"] for gate in tested]), strict=True):
            gate["p_holm"] = float(adjusted)
        standing = [gate["verdict"]["metric"] for gate in tested if gate["p_holm"] <= _FAMILY_ALPHA]
        which = f": {', '.join(standing)}" if standing else ""
        return f"Holm over {len(tested)} gates at {_FAMILY_ALPHA:g}: {len(standing)} worse beyond the margin{which}"

    def _clips(self, terminal: TerminalReporter, gates: list[dict[str, Any]]) -> None:
        for gate in gates:
            rows = [(c["id"], f"{c['baseline']:.6g}", f"{c['now']:.6g}", c["path"]) for c in gate["verdict"]["worst"]]
            if rows:
                terminal.line(f"{gate['gate']}: clips that got worse")
                for line in table([("clip", "baseline", "now", "file"), *rows], indent="  "):
                    terminal.line(line)

    def _next(self, gates: list[dict[str, Any]]) -> str:
        """Return the last line: what to type next."""
        words = {gate["verdict"]["status"] for gate in gates}
        writing = ("--update-baselines", "--vidmetrics-calibrate")
        arguments = [a for a in self.config.invocation_params.args if not str(a).startswith(writing)]
        command = shlex.join(["pytest", *map(str, arguments)])
        if self.settings.update or self.settings.calibrate:
            return f"next: review the changed files, commit them, and run: {command}"
        if self.settings.part:
            kept = [a for a in arguments if not str(a).startswith("--vidmetrics-shard")]
            return f"next: when all shards are done: {shlex.join(['pytest', *map(str, kept)])} --vidmetrics-judge"
        if words & {"MISSING", "STALE", "REGRESSED", "IMPROVED"}:
            what = "record the new values, if they are intended" if words - {"MISSING"} else "record baselines"
            return f"next: {what}: {command} --update-baselines"
        if words & {"ERROR", "UNAVAILABLE"}:
            return f"next: repair what the failures name, then: {command} --lf"
        return ""


def start(config: Config, settings: Settings) -> ItemReports:
    """Begin recording: every process attaches facts to its reports, the controller collects them."""
    reports = ItemReports()
    config.pluginmanager.register(reports, "vidmetrics-item-reports")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recording(config, settings, reports), "vidmetrics-recording")
    return reports
