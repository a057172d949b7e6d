"""The controller's side of a run: it collects what items report and decides, once, whether the run may be green."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_vidmetrics.core.wording import counted, some
from pytest_vidmetrics.core.work import Work
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.prune import Used, recorders, unmade_checks
from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.plugin.baseline_writer import BaselineWriter
from pytest_vidmetrics.plugin.command_line import asks, collects_everything, narrowed
from pytest_vidmetrics.plugin.facts import ItemFacts, facts_of
from pytest_vidmetrics.plugin.judged import Judged
from pytest_vidmetrics.plugin.reports import Collected, ItemReports
from pytest_vidmetrics.plugin.run_report import device_fact, tell
from pytest_vidmetrics.plugin.session import Run

if TYPE_CHECKING:
    from _pytest.config import Config

_STOPPED = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)


class Controller:
    """What is known about the run. Registered once: on xdist's controller, or in the only process."""

    def __init__(self, config: Config, run: Run, reports: ItemReports) -> None:
        self.config, self.run, self.settings = config, run, run.settings
        self.reports = reports
        self.from_workers: Collected | None = None
        self.judged: dict[tuple[str, str], list[Judged]] = {}
        self.records: dict[tuple[str, str], list[tuple[str, Baseline]]] = {}
        self.claims: dict[str, set[str]] = {}
        self.files: dict[str, str] = {}
        self.unjudged: dict[str, str] = {}
        self.rankings: dict[tuple[str, str], RankReport] = {}
        self.failed: set[tuple[str, str]] = set()
        self.passed: set[tuple[str, str]] = set()
        self.devices: set[str] = set()
        self.work = Work()
        self.lines: list[str] = []
        self.annotations: list[str] = []

    @property
    def collected(self) -> Collected:
        """Which gates there are: a worker says so under xdist, whose controller collects nothing."""
        return self.from_workers or self.reports.collected

    @property
    def gates(self) -> list[Judged]:
        """All gates and checks with a verdict, in the order of their ids."""
        return [one for own in sorted(self.judged) for one in self.judged[own]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the facts of an item; forget what it would record when it failed, be it in its teardown."""
        own = report.nodeid, report.location[0]  # files outside of pytest's rootdir have no part in node ids
        if report.failed:
            self.failed.add(own)
            self.records.pop(own, None)
        elif report.when == "call" and report.passed:
            # The check's file is asked of the recorder, so that both spell it alike.
            file = Recorder.of("check", self.config.rootpath / own[1], self.run.folder.path, "", "").file
            self.passed.add((file, own[0].partition("::")[2]))
        facts = facts_of(report)
        if facts is None:
            return
        if facts.ranking is not None:
            self.rankings[own] = facts.ranking
        if facts.unjudged:
            self.unjudged[facts.unjudged] = _reason(report)
        self._keep(own, facts, report)

    def _keep(self, own: tuple[str, str], facts: ItemFacts, report: pytest.TestReport) -> None:
        self.work += facts.work
        self.devices |= {facts.device} - {""}
        for gate, file in (*facts.claims.items(), *((outcome.gate, outcome.file) for outcome in facts.outcomes)):
            # Folded: some file systems do not tell capitals from small letters.
            self.claims.setdefault(file.casefold(), set()).add(gate)
            self.files[file.casefold()] = file
        outcome = "failed" if own in self.failed else report.outcome
        # The teardown repeats what the call said: the outcome of the call stands.
        known = {one.outcome.gate: one for one in self.judged.get(own, ()) if report.when == "teardown"}
        file, line = report.location[0], (report.location[1] or 0) + 1
        found = [
            known.get(one.gate) or Judged(one, outcome, hasattr(report, "wasxfail"), file=file, line=line)
            for one in facts.outcomes
        ]
        self.judged[own] = found
        records = [(one.file, one.record) for one in facts.outcomes if one.record is not None]
        if own not in self.failed and report.passed and records:
            self.records[own] = records

    # After other plugins: what they make of the exit status is known then.
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write baselines, prune and report. What cannot be written makes the run fail and is named."""
        problems = [*self._nothing_compared(session), *self._unaccounted(session), *self._shared_files()]
        self._adjust()
        self.lines += self._left_out()
        writer = BaselineWriter(self.run.folder, self.shown(self.settings.baseline_dir))
        if self.settings.writes:
            self._write(writer, stopped=exitstatus in _STOPPED)
        if self.settings.prune and (reason := self._partial(session, exitstatus)):
            problems.append(f"--prune-baselines needs a full run: {reason}; nothing was deleted")
        elif self.settings.prune:
            writer.delete_surplus(self._used())
        elif not self.config.option.collectonly and not self._partial(session, exitstatus):
            writer.name_surplus(self._used(), everything=collects_everything(self.config))
            writer.name_unmade(unmade_checks(self.run.folder, self.passed, self.claims))
        self.lines += writer.lines
        problems += writer.problems
        # In the order of ids, not of arrival: workers report as they finish.
        rankings = [self.rankings[own] for own in sorted(self.rankings)]
        said = tell(self.run, self.gates, self.work, self.devices, rankings)
        self.lines += said.lines
        self.annotations += said.annotations
        problems += said.problems
        self.lines += [f"ERROR: {problem}" for problem in problems]
        # Only a green run is turned red: another status says more.
        if problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write(self, writer: BaselineWriter, *, stopped: bool) -> None:
        if not stopped:
            here = device_fact(self.devices)
            writer.write(
                [
                    (key, replace(baseline, environment={**here, **baseline.environment}))
                    for records in self.records.values()
                    for key, baseline in records
                ],
                self.claims,
            )
        elif self.records:
            were = "gate was" if len(self.records) == 1 else "gates were"
            self.lines.append(f"interrupted: {len(self.records)} finished {were} not recorded, baselines are as before")

    def _nothing_compared(self, session: pytest.Session) -> list[str]:
        """Return what is wrong when gates were asked for, by whatever option, and none was judged."""
        # A shard judges nothing, and is right to.
        judged = self.settings.part or any(
            one.outcome.kind == "gate" and one.outcome.verdict.status != "SKIPPED" and one.report != "skipped"
            for one in self.gates
        )
        if judged or not _is_green(session) or self.config.option.collectonly:
            return []
        gates = self.collected.gates
        if not gates:
            return self._no_gate()
        if gates.keys() <= set(self.collected.left_out):  # by the user's own -k
            return []
        skips = self.unjudged or any(one.report == "skipped" for one in self.gates)
        if self.settings.allow_unavailable and skips:
            self.lines.append("every gate was skipped, NO GATE WAS JUDGED")
            return []
        return [f"{self._subject()}: every gate was {'skipped' if skips else 'deselected'}"]

    def _no_gate(self) -> list[str]:
        if narrowed(self.config):
            return []
        if asks(self.config):
            return [f"{self._subject()}: no case of a collected manifest has such a gate"]
        if not (self.settings.selection and collects_everything(self.config)):
            return []
        kept = [key for key, one in recorders(self.run.folder).items() if one.kind == "manifest"]
        if not kept:
            return []
        where = self.shown(self.settings.baseline_dir)
        return [
            f"{self._subject()}: no manifest was collected, and {where} holds {counted(len(kept), 'baseline')} of "
            f"manifests: {some(kept, 3)}; was a manifest moved, or its suffix lost?"
        ]

    def _subject(self) -> str:
        asked = ",".join(self.settings.selection or ())
        return f"--vidmetrics={asked} compared nothing" if asked else "the manifests that were named compared nothing"

    def _unaccounted(self, session: pytest.Session) -> list[str]:
        """Return the gates that were neither judged nor left out by the user, and those that should have failed."""
        if not _is_green(session) or self.config.option.collectonly or self.settings.part:
            return []
        known = self.collected
        # A skip is told apart below: it is not lost.
        seen = {one.outcome.gate for one in self.gates} | self.unjudged.keys()
        lost = [gate for gate in known.gates if gate not in seen and gate not in known.left_out]
        problems = []
        # Where none was seen at all, that nothing was compared is said already.
        if lost and seen:
            problems.append(
                f"{counted(len(lost), 'gate')} collected and never judged, taken away by a plugin or conftest.py: "
                f"{some(sorted(lost))}"
            )
        if self.unjudged and seen - self.unjudged.keys() and not self.settings.allow_unavailable:
            reasons = some([f"{gate} ({reason})" for gate, reason in sorted(self.unjudged.items())])
            problems.append(f"{counted(len(self.unjudged), 'gate')} skipped before being judged: {reasons}")
        return problems + [self._dodged(one) for one in self.gates if self._is_dodged(one)]

    def _is_dodged(self, one: Judged) -> bool:
        """Whether a red gate left its test, or the run, green. A test function may expect that its own check fails."""
        status = one.outcome.verdict.status
        allowed = status == "SKIPPED" or (status == "UNAVAILABLE" and self.settings.allow_unavailable)
        if one.outcome.verdict.passed or allowed:
            return False
        return one.outcome.kind == "gate" if one.is_dodged else True  # it failed, and the run is green all the same

    def _dodged(self, one: Judged) -> str:
        how = "is expected to fail (xfail)" if one.xfail else f"was reported as {one.report}"
        if not one.is_dodged:
            how += ", and a plugin or conftest.py made the run green"
        return f"{one.outcome.gate} is {one.outcome.verdict.status}, and its test {how}: a gate cannot be excused"

    def _left_out(self) -> list[str]:
        """Return what to say of gates that the user's own options leave out, where nobody typed these just now."""
        gates, left = self.collected.gates, sorted(self.collected.left_out)
        if not left or self.config.option.collectonly:
            return []
        count = f"{len(left)} of {counted(len(gates), 'gate')} left out by -k, -m, --deselect, --lf or --sw"
        if len(left) == len(gates):
            return [f"{count}, NO GATE WAS JUDGED"]
        return [] if narrowed(self.config) else [f"{count} of the ini file: {some(left)}"]

    def _shared_files(self) -> list[str]:
        """Return which gates and checks have one baseline file: workers see their own only."""
        where = self.shown(self.settings.baseline_dir)
        return [
            f"{' and '.join(sorted(gates))} have the same baseline file {where}/{self.files[key]}: rename one"
            for key, gates in self.claims.items()
            if len(gates) > 1
        ]

    def _used(self) -> Used:
        known = self.collected
        return Used({key for keys in known.gates.values() for key in keys}, known.manifests, known.tests)

    def _partial(self, session: pytest.Session, exitstatus: int) -> str:
        """Return why this run did not see every gate, or nothing."""
        if self.settings.selection is not None and "all" not in self.settings.selection:
            return "--vidmetrics must be 'all'"
        if selected := narrowed(self.config):
            return selected
        if self.settings.part or exitstatus in _STOPPED or session.shouldstop or session.shouldfail:
            return "the run was stopped early or is a shard"
        return "" if self.collected.gates or self.collected.tests else "no gate was collected"

    def _adjust(self) -> None:
        """Add to each gate its p-value when all gates of the run are judged together (Holm)."""
        tested = [one for one in self.gates if one.outcome.verdict.p is not None]
        if len(tested) < 2 or not any(one.outcome.verdict.status == "REGRESSED" for one in tested):
            return
        from pytest_vidmetrics.stats.multiplicity import holm

        ps = [float(p) for p in holm([one.outcome.verdict.p or 0.0 for one in tested])]
        # By identity, as verdicts hold mappings and cannot be hashed.
        adjusted = {id(one): p for one, p in zip(tested, ps, strict=True)}
        for own, found in self.judged.items():
            self.judged[own] = [replace(one, p_holm=adjusted.get(id(one))) for one in found]

    def shown(self, path: Path) -> str:
        """Return a path as messages show it: below the root when it lies there."""
        root = self.config.rootpath
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _is_green(session: pytest.Session) -> bool:
    return session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    return str(longrepr[2]).removeprefix("Skipped: ") if isinstance(longrepr, tuple) else "skipped"
