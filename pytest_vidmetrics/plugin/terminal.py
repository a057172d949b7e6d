"""The one section of the terminal: a row per gate, what to know about them, the work done, the next command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.verdict import PASSING
from pytest_vidmetrics.core.wording import WIDTH, counted, number, printable, some, table
from pytest_vidmetrics.gates.lifecycle import root_of_baseline
from pytest_vidmetrics.plugin.controller import Controller
from pytest_vidmetrics.plugin.judged import Judged
from pytest_vidmetrics.plugin.table import Line, lines_of

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

_NOTES_SHOWN = 5
_COLOURS = dict.fromkeys(PASSING, "green") | {"UNAVAILABLE": "yellow", "SKIPPED": "yellow"}
_FAMILY_ALPHA = 0.05


class TerminalWriter:
    """Prints what the controller found out. Decides nothing."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.settings = controller.settings

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the section, if there is anything to say."""
        lines = list(self.controller.lines)
        if self.settings.part:
            k, n = self.settings.part
            lines.append(f"shard {k}/{n} ({self.settings.shard_from}): clips were scored, NO GATE WAS JUDGED")
        gates = self.controller.gates
        if not gates and not lines:
            return
        terminalreporter.section("video metrics")
        if gates:
            # pytest's own width: no public name gives it.
            width, verbose = terminalreporter._tw.fullwidth, self.controller.config.option.verbose
            for row in lines_of(gates, max(WIDTH, width), verbose=verbose):
                _write(terminalreporter, row)
            for line in self._about(gates):
                terminalreporter.line(printable(line, keep=""))
        # The next command last, where it is seen.
        for line in [*lines, self._next(gates), *self.controller.annotations]:
            if line:
                terminalreporter.line(printable(line, keep=""))

    def _about(self, gates: Sequence[Judged]) -> list[str]:
        verbose = self.controller.config.option.verbose
        lines = list(filter(None, [_passed(gates)])) if verbose < 0 else []
        if verbose > 0:
            lines += _sight(gates)
            lines += _worse_clips(gates)
        lines += filter(
            None,
            (
                self._cohort(gates),
                _family(gates),
                *_unavailable(gates),
                self._skipped(gates),
                _xfailed(gates),
                _caught(gates),
            ),
        )
        return [*lines, *(_notes(gates) if verbose >= 0 else ()), f"work: {self.controller.work}"]

    def _cohort(self, gates: Sequence[Judged]) -> str:
        """Return which baselines the cohort of this run has."""
        if not (name := self.settings.cohort):
            return ""
        own = sum(one.outcome.cohort == name for one in gates)
        rest = "" if own == len(gates) else "; the others are judged by the common ones"
        return f"cohort {name}: {own} of {len(gates)} gates have baselines of its own{rest}"

    def _skipped(self, gates: Sequence[Judged]) -> str:
        """Return how many gates say nothing, so that nobody takes them for green."""
        count = sum(one.outcome.verdict.status == "SKIPPED" for one in gates) + len(self.controller.unjudged)
        known = len(gates) + len(self.controller.unjudged)
        return f"skipped: {count} of {known} gates were NOT JUDGED; -rs prints the reasons" if count else ""

    def _next(self, gates: Sequence[Judged]) -> str:
        """Return the last line: what to type next."""
        words = {one.outcome.verdict.status for one in gates}
        writing = ("--update-baselines", "--extend-baselines", "--vidmetrics-calibrate")
        # The command to copy must not record again.
        arguments = [a for a in self.controller.config.invocation_params.args if not str(a).startswith(writing)]
        command = shlex.join(["pytest", *map(str, arguments)])
        if self.controller.records and self.settings.writes:
            return f"next: review the changed files, commit them, and run: {command}"
        if self.settings.part:
            kept = [a for a in arguments if not str(a).startswith("--vidmetrics-shard")]
            return f"next: when all shards are done: {shlex.join(['pytest', *map(str, kept)])} --vidmetrics-judge"
        roots = sorted(filter(None, (root_of_baseline(one.outcome.verdict) for one in gates)))
        if roots and not self.settings.writes:
            return f"next: compare with the baselines further up: {command} {shlex.quote(f'--rootdir={roots[0]}')}"
        if not self.settings.writes and words & {"MISSING", "STALE", "REGRESSED", "IMPROVED"}:
            what = "record the new values, if they are intended" if words - {"MISSING"} else "record baselines"
            return f"next: {what}: {command} --update-baselines"
        if words & {"ERROR", "UNAVAILABLE"}:
            return f"next: repair what the failures name, then: {command} --lf"
        return ""


def _write(terminal: TerminalReporter, row: Line) -> None:
    """Write a line of the table, its verdict in pytest's colours where pytest has colours at all."""
    if row.status is None:
        terminal.line(row.text)
        return
    terminal.write(row.text.removesuffix(row.status))
    terminal.write(row.status, **{_COLOURS.get(row.status, "red"): True, "bold": row.status not in PASSING})
    terminal.line("")


def _passed(gates: Sequence[Judged]) -> str:
    """Return how many gates have no row in a quiet run."""
    count = sum(one.outcome.verdict.status in PASSING for one in gates)
    return f"{count} of {counted(len(gates), 'gate')} passed" if count else ""


def _family(gates: Sequence[Judged]) -> str:
    """Return how many of the gates that got worse are certain to lie beyond their margin, all judged together."""
    tested = [one for one in gates if one.p_holm is not None]
    worse = [one for one in tested if one.outcome.verdict.status == "REGRESSED"]
    if not tested:
        return ""
    sure = [one.outcome.verdict.metric for one in worse if one.p_holm is not None and one.p_holm <= _FAMILY_ALPHA]
    which = f": {', '.join(sure)}" if sure else "; more clips or a larger harm would tell"
    number_of = "none" if not sure else str(len(sure))
    return (
        f"Holm over {len(tested)} gates at {_FAMILY_ALPHA:g}: of {counted(len(worse), 'gate')} worse than the margin "
        f"here, {number_of} {'is' if len(sure) < 2 else 'are'} certain to be so on other clips like these{which}"
    )


def _unavailable(gates: Sequence[Judged]) -> list[str]:
    """Return one line for all gates that lack the same thing."""
    lacking: dict[str, list[str]] = {}
    for one in gates:
        if one.outcome.verdict.status in ("UNAVAILABLE", "SKIPPED"):
            lacking.setdefault(one.outcome.verdict.reason, []).append(one.outcome.gate.rpartition("::")[2])
    return [
        f"not available for {counted(len(names), 'gate')} ({some(names, 3)}): {why}" for why, names in lacking.items()
    ]


def _xfailed(gates: Sequence[Judged]) -> str:
    excused = [one for one in gates if one.xfail and not one.outcome.verdict.passed]
    names = some([f"{one.outcome.gate} ({one.outcome.verdict.status})" for one in excused])
    return f"xfailed: {counted(len(excused), 'gate')} red and excused by a mark: {names}" if excused else ""


def _caught(gates: Sequence[Judged]) -> str:
    """Return the checks whose failure a test function caught: only the table says that they are red."""
    caught = [one for one in gates if one.outcome.kind == "check" and one.is_dodged and not one.xfail]
    names = some([f"{one.outcome.gate} ({one.outcome.verdict.status})" for one in caught])
    return f"caught: {counted(len(caught), 'check')} red, and the test passed: {names}" if caught else ""


def _notes(gates: Sequence[Judged]) -> list[str]:
    """Return what a reader should know about gates that passed; those of red gates stand with their failures."""
    notes, measured = list[str](), list[str]()
    for one in gates:
        verdict = one.outcome.verdict
        if verdict.status in PASSING:
            # What a calibration measured is what the run was for: none of it is left out.
            kept = measured if verdict.status == "CALIBRATED" else notes
            kept += [f"note: {one.outcome.gate}: {note}" for note in verdict.notes]
    more = len(notes) - _NOTES_SHOWN
    return measured + (notes if more <= 0 else [*notes[:_NOTES_SHOWN], f"and {more} more; the report has all"])


def _sight(gates: Sequence[Judged]) -> list[str]:
    """Return what each gate would catch four times out of five, and where its margin comes from."""
    lines = []
    for one in gates:
        verdict = one.outcome.verdict
        if verdict.margin is not None:
            seen = "not known" if verdict.sees is None else f"a harm from {number(verdict.sees)} on"
            lines.append(f"{one.outcome.gate}: sees {seen}; margin {number(verdict.margin)}: {verdict.margin_from}")
    return lines


def _worse_clips(gates: Sequence[Judged]) -> list[str]:
    """Return the clips of gates that passed; those of red gates stand with their failures."""
    lines: list[str] = []
    for one in gates:
        verdict = one.outcome.verdict
        rows = [(c.id, number(c.baseline), number(c.now), c.path) for c in verdict.worst]
        if rows and verdict.status in PASSING:
            lines.append(f"{one.outcome.gate}: clips that got worse")
            lines += table([("clip", "baseline", "now", "file"), *rows], indent="  ")
    return lines
