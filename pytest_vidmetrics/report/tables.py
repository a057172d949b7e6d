"""Tables of a page beside its verdicts: rankings of methods, and this run beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_vidmetrics.gates.record import RunRecord
from pytest_vidmetrics.report.numbers import number, percent


@dataclass(frozen=True)
class Table:
    """A table under its title: ``head`` and ``rows`` are texts, ``remarks`` stand below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


def rankings(record: RunRecord) -> list[Table]:
    """Return a table for each ranking of methods, or the reason why there is none."""
    several = len({one.case for one in record.rankings}) > 1
    tables = [_methods(case, record, several=several) for case in dict.fromkeys(one.case for one in record.rankings)]
    # With one gate it says no more than the ranking below.
    tables = [table for table in tables if len(table.rows) > 1]
    for one in record.rankings:
        title = f"Ranking of {one.case} by {one.gate}" if several else f"Ranking by {one.gate}"
        if one.reason or not one.rows:
            tables.append(Table(title, (), (), (f"not ranked: {one.reason}",)))
            continue
        better = "higher" if one.result.get("higher_is_better") else "lower"
        remarks = (f"{better} is better; methods that are not told apart from the best share its rank",)
        tables.append(Table(title, one.rows[0], one.rows[1:], (*remarks, *map(str, one.result.get("remarks", ())))))
    return tables


def _methods(case: str, record: RunRecord, *, several: bool) -> Table:
    """Return all gates of a case beside each other: a column for each method, with its score and its rank."""
    found = {
        one.gate: {str(row["method"]): row for row in one.result.get("methods", ())}
        for one in record.rankings
        if one.case == case and not one.reason
    }
    names = dict.fromkeys(name for by_name in found.values() for name in by_name)
    rows = tuple(
        (
            gate,
            *(
                f"{number(by_name[name]['score'])} ({by_name[name]['rank']})" if name in by_name else "–"
                for name in names
            ),
        )
        for gate, by_name in found.items()
    )
    title = f"Methods of {case}" if several else "Methods"
    return Table(title, ("gate", *names), rows, ("score, and in brackets the rank; details are below",))


def comparison(record: RunRecord, others: Mapping[str, RunRecord]) -> list[Table]:
    """Return this run beside each other one that has scores, gate by gate, with the doubt about each difference."""
    from pytest_vidmetrics.gates.compare import apart, compare, scores_of

    tables = []
    for name, other in others.items():
        if not other.gates:
            continue
        rows: list[Sequence[str]] = []
        # No policy is given: that of this run judges.
        for key, one in compare(scores_of(other), scores_of(record), {}).items():
            moved = None if one.now is None or one.baseline is None else one.now - one.baseline
            ends = "–" if one.interval is None else f"{number(one.interval[0])} to {number(one.interval[1])}"
            change = percent(moved, one.baseline) or "–"
            gate = key.removesuffix(".json")
            rows.append((gate, number(one.baseline), number(one.now), change, ends, apart(one), one.status))
        head = ("gate", name, "this run", "change", "interval of the harm", "told apart", "verdict")
        told = "told apart: whether the interval of the difference excludes 0; verdicts by the margins of this run"
        tables.append(Table(f"This run beside {name}", head, tuple(map(tuple, rows)), (told,)))
    return tables
