"""Go through the gates of a run that changed, and accept or reject each new score as a baseline."""

from __future__ import annotations

import argparse
import sys
import tempfile
import urllib.parse
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.ci import in_ci
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import interval, number, printable, share
from pytest_vidmetrics.gates.accept import CHANGED, acceptable, accepted
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.metrics.registry import unit_of

HELP = "accept or reject changed scores, one by one"
_HELP = """\
  a  accept: the score of this run becomes the baseline of the gate
  r  reject: the baseline stays, and the next gate is shown
  o  open the report in a browser, at the clip that got worst
  q  quit: what was accepted is written, the rest stays open
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("record", type=Path, help="run record: FILE.json or FILE.html of --vidmetrics-report")
    parser.add_argument("--root", type=Path, default=Path(), help="where the paths of the record start; default: here")
    parser.add_argument("--baseline-dir", type=Path, default=Path("baselines"), help="default: baselines")


def run(args: argparse.Namespace) -> int:
    """Ask about each changed gate. Refused where nobody can answer: in CI and without a terminal."""
    from pytest_vidmetrics.gates.record import read_record

    if in_ci():
        raise VidmetricsError("review asks a person and is refused in CI; use compare there")
    if not sys.stdin.isatty():
        raise VidmetricsError("review asks a person: run it in a terminal")
    folder = BaselineFolder(args.baseline_dir.absolute(), Path.cwd())
    record = read_record(args.record)
    with tempfile.TemporaryDirectory(prefix="vidmetrics-") as made:
        page = _Page(args.record, record, args.root, Path(made) / "run.html")
        return review(record, folder, input, sys.stdout.write, page.open)


class _Page:
    """The report of a run, made when somebody wants to look at it."""

    def __init__(self, source: Path, record: RunRecord, root: Path, target: Path) -> None:
        self._source, self._record, self._root, self._target = source, record, root, target

    def open(self, gate: GateRecord) -> str:
        """Open the report at the worst clip of a gate; return what to tell."""
        from pytest_vidmetrics.core.cache import get_cache_dir
        from pytest_vidmetrics.engine.store import FileStore
        from pytest_vidmetrics.report.build import write_from_store
        from pytest_vidmetrics.report.clips import Seats, case_of
        from pytest_vidmetrics.report.view import view

        try:
            if not self._target.exists():
                store = FileStore(get_cache_dir() / "store")
                write_from_store(self._target, self._record, self._root, store, record_name=str(self._source))
        except (OSError, VidmetricsError) as error:
            return f"cannot make the report: {error}"
        where = self._target.as_uri()
        if gate.verdict.worst:
            case = Seats.of(self._record, {}).of_case(case_of(gate.gate))[0]
            key = view(self._record).key(case, gate.verdict.worst[0].id)
            where += f"#clip={urllib.parse.quote(key)}"
        return f"opened {where}" if webbrowser.open(where) else f"no browser here; the report is {where}"


def review(
    record: RunRecord,
    folder: BaselineFolder,
    ask: Callable[[str], str],
    say: Callable[[str], Any],
    show: Callable[[GateRecord], str] = lambda gate: "there is nothing to open",
) -> int:
    """Ask about each changed gate that has a score; write a baseline for every ``a``. Return the exit status.

    ``a`` accepts, ``r`` rejects and leaves the baseline, ``o`` opens the report with ``show``, ``?`` explains, ``q`` or
    the end of the input stops. The status is 1 when something was rejected or left open. Raises ``BaselineError``
    before the first question for a gate whose baseline would not lie in the folder.
    """
    changed = {key: gate for key, gate in sorted(record.by_file().items()) if gate.verdict.status in CHANGED}
    for key in changed:
        # Asked before the first question, so that no answer is lost to a bad key.
        folder.file(key)
    say(f"{len(changed)} of {len(record.gates)} gates changed\n")
    open_gates = len(changed)
    for key, gate in changed.items():
        say(printable(_describe(key, gate)))
        if reason := acceptable(gate):
            say(f"  {reason}\n")
            continue
        answer = _answer(ask, say, gate, show)
        if answer == "q":
            break
        if answer == "a":
            written = folder.write(key, accepted(folder, gate, record.environment))
            open_gates -= 1
            say(printable(f"  written: {written}\n"))
    return 1 if open_gates else 0


def _answer(
    ask: Callable[[str], str], say: Callable[[str], Any], gate: GateRecord, show: Callable[[GateRecord], str]
) -> str:
    while True:
        try:
            answer = ask("  [a]ccept, [r]eject, [o]pen, [q]uit, [?]: ").strip().lower()[:1]
        except EOFError:  # Ctrl-D, or a terminal that has gone
            say("\n")
            return "q"
        if answer in ("a", "r", "q"):
            return answer
        say(printable(f"  {show(gate)}\n" if answer == "o" else _HELP))


def _describe(key: str, gate: GateRecord) -> str:
    verdict = gate.verdict
    lines = [f"{verdict.status}: {key.removesuffix('.json')}", f"  {verdict.reason}"]
    unit = unit_of(verdict.metric)
    moved = None if verdict.baseline is None or verdict.now is None else verdict.now - verdict.baseline
    change = share(moved, verdict.baseline)
    now = f"now {number(verdict.now)} {unit}".rstrip() + (f" ({change})" if change else "")
    lines.append(f"  baseline {number(verdict.baseline)}, {now}, n {verdict.n}")
    if verdict.margin is not None:
        lines.append(
            f"  harm {number(verdict.harm)}, interval {interval(verdict.interval)}, margin {number(verdict.margin)}"
            + (f" ({verdict.margin_from})" if verdict.margin_from else "")
        )
    lines += [f"  {c.id}: {number(c.baseline)} -> {number(c.now)}  {c.path}" for c in verdict.worst[:5]]
    return "\n".join(lines) + "\n"
