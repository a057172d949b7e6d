"""Go through the gates of a run that changed, and accept or reject each new score as a baseline."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import BaselineError, VidmetricsError
from pytest_vidmetrics.gates.baseline import parse_baseline, read_baseline, write_baseline

HELP = "accept or reject changed scores, one by one"
_CHANGED = ("REGRESSED", "IMPROVED", "MISSING", "STALE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("record", type=Path, help="run record, made with --vidmetrics-report=FILE.json")
    parser.add_argument("--baseline-dir", type=Path, default=Path("baselines"), help="default: baselines")


def run(args: argparse.Namespace) -> int:
    """Ask about each changed gate. Refused where nobody can answer: in CI and without a terminal."""
    from pytest_vidmetrics.gates.record import read_record

    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise VidmetricsError("review asks a person and is refused in CI; use compare there")
    if not sys.stdin.isatty():
        raise VidmetricsError("review asks a person: run it in a terminal")
    return review(read_record(args.record), args.baseline_dir, input, sys.stdout.write)


def review(
    gates: Mapping[str, Mapping[str, Any]], folder: Path, ask: Callable[[str], str], say: Callable[[str], Any]
) -> int:
    """Ask about each changed gate that has a score; write a baseline for every ``a``. Return the exit status.

    ``a`` accepts, ``r`` rejects and leaves the baseline, ``q`` or the end of the input stops. The status is 1 when
    something was rejected or left open.
    """
    changed = {key: gate for key, gate in sorted(gates.items()) if gate["verdict"]["status"] in _CHANGED}
    say(f"{len(changed)} of {len(gates)} gates changed\n")
    open_gates = len(changed)
    for key, gate in changed.items():
        say(_describe(key, gate["verdict"]))
        if not gate.get("observed"):
            say("  it has no score to accept\n")
            continue
        answer = _answer(ask, say)
        if answer == "q":
            break
        if answer == "a":
            write_baseline(folder / key, _accepted(folder / key, gate["observed"]))
            open_gates -= 1
            say(f"  written: {folder / key}\n")
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


def _accepted(path: Path, observed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the baseline to write: as ``--update-baselines`` does, with the noise measured for the same metric."""
    new, old = parse_baseline(dict(observed), f"the run record, for {path}"), None
    with contextlib.suppress(BaselineError):  # a damaged one is replaced
        old = read_baseline(path)
    return replace(new, noise=old.noise if old is not None and old.metric == new.metric else None).to_json()


def _describe(key: str, verdict: Mapping[str, Any]) -> str:
    lines = [f"{verdict['status']}: {key.removesuffix('.json')}", f"  {verdict['reason']}"]
    lines.append(f"  baseline {verdict['baseline']}, now {verdict['now']}, n {verdict['n']}")
    lines += [f"  {clip['id']}: {clip['baseline']} -> {clip['now']}  {clip['path']}" for clip in verdict["worst"][:5]]
    return "\n".join(lines) + "\n"
