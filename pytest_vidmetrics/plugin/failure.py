"""The text of a red gate, the same for gates of manifests and for checks of test functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wording import WIDTH, fitted, interval, number, printable, share, table
from pytest_vidmetrics.gates.lifecycle import root_of_baseline
from pytest_vidmetrics.metrics.registry import unit_of

_WORST_SHOWN = 5
_ADVICE = {
    "REGRESSED": "If this change is intended, record it:",
    "MISSING": "Record a baseline with:",
    "STALE": "If the new conditions are intended, record a new baseline:",
    "ERROR": "Once that is repaired, run this gate alone:",
    "UNAVAILABLE": "Once it is installed, run this gate alone:",
}
_ELSEWHERE = "Compare with the baseline further up:"


def explain(label: str, verdict: Verdict, command: str, *, verbose: int = 0) -> str:
    """Return the text of a red gate: the verdict, the numbers, the clips, the next command."""
    lines = [f"{verdict.status}: {verdict.reason}", f"  {label}"]
    if verdict.now is not None:
        lines += ["", *_numbers(verdict)]
    if verdict.notes:
        lines += ["", *(f"  - {note}" for note in verdict.notes)]
    if verdict.worst:
        lines += ["", "  clips that got worse, worst first:", *_clips(verdict, verbose)]
    # A baseline below another root is to be compared with, not recorded anew.
    advice = _ADVICE.get(verdict.status, "Next:") if root_of_baseline(verdict) is None else _ELSEWHERE
    lines += ["", f"  {advice}", f"    {command}"]
    return "\n".join(map(printable, lines))


def _numbers(verdict: Verdict) -> list[str]:
    unit = unit_of(verdict.metric)
    moved = None if verdict.baseline is None or verdict.now is None else verdict.now - verdict.baseline
    head = ("baseline", "now", "change", "harm", "interval", "margin", "sees", "n")
    row = (
        number(verdict.baseline),
        f"{number(verdict.now)} {unit}".rstrip(),
        share(moved, verdict.baseline) or "-",
        number(verdict.harm),
        interval(verdict.interval, 4),
        number(verdict.margin),
        number(verdict.sees, 4),
        str(verdict.n),
    )
    # The columns that a narrow terminal loses first.
    return [f"  {line}" for line in fitted([head, row], ("sees", "change"), width=WIDTH - 2)]


def _clips(verdict: Verdict, verbose: int) -> list[str]:
    shown = verdict.worst if verbose > 0 else verdict.worst[:_WORST_SHOWN]
    rows = [("clip", "baseline", "now", "harm", "file")]
    rows += [(c.id, number(c.baseline), number(c.now), number(c.harm), _nearby(c.path)) for c in shown]
    return table(rows, indent="    ")


def _nearby(path: str) -> str:
    """Return a path below the current folder as the caller would type it."""
    return path.removeprefix(f"{Path.cwd()}/")


def properties(verdict: Verdict, prefix: str = "vidmetrics") -> list[tuple[str, Any]]:
    """Return what JUnit and other reporters show of a gate."""
    found: list[tuple[str, Any]] = [
        (f"{prefix}.{key}", getattr(verdict, key)) for key in ("baseline", "now", "harm", "margin", "sees", "n")
    ]
    found.append((f"{prefix}.interval", verdict.interval and list(verdict.interval)))
    return [*found, (f"{prefix}.verdict", verdict.status)]
