"""The table of a run: a heading per case, a row per gate, the verdict last and in its colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_vidmetrics.core.verdict import PASSING, Status
from pytest_vidmetrics.core.wording import fitted, number, share
from pytest_vidmetrics.metrics.registry import unit_of
from pytest_vidmetrics.plugin.judged import Judged

HEAD = ("gate", "baseline", "now", "change", "harm", "margin", "n", "verdict")
_SPARE = ("harm", "n", "change")
"""Columns that a narrow table does without, in this order; ``-v`` has all."""
_DIGITS = 4
_LONGEST_UNIT = 6


@dataclass(frozen=True)
class Line:
    """One line of the table. ``status`` is the word that it ends with, for its colour; empty for headings."""

    text: str
    status: Status | None = None


def lines_of(gates: Sequence[Judged], width: int, *, verbose: int = 0) -> list[Line]:
    """Return the table; with ``verbose`` below 0 the gates that need a person only, above 0 every column."""
    shown = [one for one in gates if verbose >= 0 or one.outcome.verdict.status not in PASSING]
    if not shown:
        return []
    spare = () if verbose > 0 else _SPARE
    head, *rows = fitted([HEAD, *map(_row, shown)], spare, right=HEAD[1:-1], width=width)
    lines, before = [Line(head)], ""
    for one, text in zip(shown, rows, strict=True):
        subject, _ = split(one)
        if subject != before:
            lines.append(Line(subject))
            before = subject
        *above, last = text.split("\n")
        lines += [*map(Line, above), Line(last, one.outcome.verdict.status)]
    return lines


def split(one: Judged) -> tuple[str, str]:
    """Return the case, or the file of a test function, and what the gate or check is called inside of it."""
    id = one.outcome.gate
    if one.outcome.kind == "check":
        subject, _, name = id.partition("::")
    else:
        subject, _, name = id.rpartition("::")
    return subject, name


def _row(one: Judged) -> tuple[str, ...]:
    verdict, cohort = one.outcome.verdict, one.outcome.cohort
    unit = unit_of(verdict.metric)
    label = split(one)[1] + ("" if cohort == "common" else f" @{cohort}")
    label += f" ({unit})" if 0 < len(unit) <= _LONGEST_UNIT else ""
    moved = None if verdict.baseline is None or verdict.now is None else verdict.now - verdict.baseline
    before = number(verdict.baseline, _DIGITS), number(verdict.now, _DIGITS)
    after = number(verdict.harm, _DIGITS), number(verdict.margin, _DIGITS)
    return (label, *before, share(moved, verdict.baseline) or "-", *after, str(verdict.n), verdict.status)
