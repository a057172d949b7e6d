"""How verdicts are put into words and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.verdict import PASSING, Verdict

_WORST_SHOWN = 5
_NOTES_SHOWN = 5
_ADVICE = {
    "REGRESSED": "If this change is intended, record it:",
    "MISSING": "Record a baseline with:",
    "STALE": "If the new conditions are intended, record a new baseline:",
    "ERROR": "Once that is repaired, run this gate alone:",
    "UNAVAILABLE": "Once it is installed, run this gate alone:",
}


def number(value: float | None) -> str:
    """Return a score as tables show it."""
    return "-" if value is None else f"{value + 0.0:.6g}"  # + 0.0 turns a negative zero into zero


def explain(label: str, verdict: Verdict, command: str, *, verbose: int = 0) -> str:
    """Return the text of a red gate: the verdict, the numbers, the clips, the next command."""
    lines = [f"{verdict.status}: {verdict.reason}", f"  {label}"]
    if verdict.now is not None:
        rows = [("baseline", "now", "harm", "interval", "margin", "n"), _numbers(verdict)]
        lines += ["", *table(rows, indent="  ")]
    if verdict.notes:
        lines += ["", *(f"  - {note}" for note in verdict.notes)]
    if verdict.worst:
        lines += ["", "  clips that got worse, worst first:", *_clips(verdict, verbose)]
    lines += ["", f"  {_ADVICE.get(verdict.status, 'Next:')}", f"    {command}"]
    return "\n".join(lines)


def _numbers(verdict: Verdict) -> tuple[str, ...]:
    interval = "-" if verdict.interval is None else "[{:.6g}, {:.6g}]".format(*verdict.interval)
    before = (number(value) for value in (verdict.baseline, verdict.now, verdict.harm))
    return (*before, interval, number(verdict.margin), str(verdict.n))


def _clips(verdict: Verdict, verbose: int) -> list[str]:
    shown = verdict.worst if verbose else verdict.worst[:_WORST_SHOWN]
    rows = [("clip", "baseline", "now", "harm", "file")]
    rows += [(c.id, number(c.baseline), number(c.now), number(c.harm), _nearby(c.path)) for c in shown]
    return table(rows, indent="    ")


def _nearby(path: str) -> str:
    """Return a path below the current folder as the caller would type it."""
    return path.removeprefix(f"{Path.cwd()}/")


def table(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Return aligned lines: the first row is the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def summary_rows(gates: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of the terminal's table, one per gate."""
    rows: list[tuple[str, ...]] = [("gate", "baseline", "now", "harm", "margin", "n", "verdict")]
    for gate in gates:
        verdict = gate["verdict"]
        cohort = "" if gate["cohort"] == "common" else f" @{gate['cohort']}"
        cells = [number(verdict[key]) for key in ("baseline", "now", "harm", "margin")]
        rows.append((gate["gate"] + cohort, *cells, str(verdict["n"]), verdict["status"]))
    return rows


def passing_notes(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a reader should know about gates that passed; those of red gates stand with their failures."""
    notes = [
        f"note: {gate['gate']}: {note}"
        for gate in gates
        if gate["verdict"]["status"] in PASSING
        for note in gate["verdict"]["notes"]
    ]
    more = len(notes) - _NOTES_SHOWN
    return notes if more <= 0 else [*notes[:_NOTES_SHOWN], f"and {more} more; the report has all"]
