"""Go through the gates of a run that changed, and accept or reject each new score as a baseline."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import number, printable
from pytest_vidmetrics.gates.accept import CHANGED, accepted
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.record import GateRecord, RunRecord

HELP = "accept or reject changed scores, one by one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("record", type=Path, help="run record: FILE.json or FILE.html of --vidmetrics-report")
    parser.add_argument("--baseline-dir", type=Path, default=Path("baselines"), help="default: baselines")


def run(args: argparse.Namespace) -> int:
    """Ask about each changed gate. Refused where nobody can answer: in CI and without a terminal."""
    from pytest_vidmetrics.gates.record import read_record

    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise VidmetricsError("review asks a person and is refused in CI; use compare there")
    if not sys.stdin.isatty():
        raise VidmetricsError("review asks a person: run it in a terminal")
    folder = BaselineFolder(args.baseline_dir.absolute(), Path.cwd())
    return review(read_record(args.record), folder, input, sys.stdout.write)


def review(record: RunRecord, folder: BaselineFolder, ask: Callable[[str], str], say: Callable[[str], Any]) -> int:
    """Ask about each changed gate that has a score; write a baseline for every ``a``. Return the exit status.

    ``a`` accepts, ``r`` rejects and leaves the baseline, ``q`` or the end of the input stops. The status is 1 when
    something was rejected or left open. Raises ``BaselineError`` before the first question for a gate whose baseline
    would not lie in the folder.
    """
    changed = {key: gate for key, gate in sorted(record.by_file().items()) if gate.verdict.status in CHANGED}
    for key in changed:
        folder.file(key)
    say(f"{len(changed)} of {len(record.gates)} gates changed\n")
    open_gates = len(changed)
    for key, gate in changed.items():
        say(printable(_describe(key, gate)))
        if gate.scores is None or gate.scores.score is None or gate.recorded_by is None:
            say("  it has no score to accept\n")
            continue
        answer = _answer(ask, say)
        if answer == "q":
            break
        if answer == "a":
            written = folder.write(key, accepted(folder, gate, record.environment))
            open_gates -= 1
            say(printable(f"  written: {written}\n"))
    return 1 if open_gates else 0


def _answer(ask: Callable[[str], str], say: Callable[[str], Any]) -> str:
    while True:
        try:
            answer = ask("  [a]ccept, [r]eject, [q]uit? ").strip().lower()[:1]
        except EOFError:  # Ctrl-D, or a terminal that has gone
            say("\n")
            return "q"
        if answer in ("a", "r", "q"):
            return answer


def _describe(key: str, gate: GateRecord) -> str:
    verdict = gate.verdict
    lines = [f"{verdict.status}: {key.removesuffix('.json')}", f"  {verdict.reason}"]
    lines.append(f"  baseline {number(verdict.baseline)}, now {number(verdict.now)}, n {verdict.n}")
    lines += [f"  {c.id}: {number(c.baseline)} -> {number(c.now)}  {c.path}" for c in verdict.worst[:5]]
    return "\n".join(lines) + "\n"
