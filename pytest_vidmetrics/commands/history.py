"""Show how the score of a gate moved: over the commits of its baseline, and over records of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.commands._named import HELP as GATE_HELP
from pytest_vidmetrics.commands._named import named
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import fitted, number, printable, share
from pytest_vidmetrics.gates.history import (
    BASELINE,
    Point,
    first_bad,
    in_order,
    judged,
    of_baseline,
    of_records,
    records_in,
)
from pytest_vidmetrics.gates.ratchet import offered

HELP = "show how the score of a gate moved"
_HEAD = ("time", "checkpoint", "commit", "score", "change", "n", "verdict", "from")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("gate", metavar="GATE", help=GATE_HELP)
    parser.add_argument("--records", type=Path, metavar="DIR", help="folder with records of runs")
    parser.add_argument("--baseline-dir", type=Path, default=Path("baselines"), help="default: baselines")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the points, the oldest first, and the first bad checkpoint; return 1 when there is one."""
    from pytest_vidmetrics.gates.folder import BaselineFolder

    records = records_in(args.records) if args.records is not None else {}
    gates = {gate.file: gate.gate for record in records.values() for gate in record.gates}
    folder = BaselineFolder(args.baseline_dir.absolute(), Path.cwd())
    if folder.path.is_dir():
        # The ids of the records win: those of the baselines are not known here.
        gates = {**dict.fromkeys(folder.all_keys(), ""), **gates}
    file = named(args.gate, gates, where=f"{args.baseline_dir} and the records")
    points = in_order([*of_baseline(folder.file(file)), *of_records(records, file)])
    if not points:
        raise VidmetricsError(
            f"{file} has no history: it is in no commit of git, and no record of a run was given (--records DIR)"
        )
    bad, offer = first_bad(points), offered(judged(records, file))
    if args.json:
        tree = {
            "gate": file,
            "points": [point.to_json() for point in points],
            "first_bad": bad and bad.to_json(),
            "ratchet": offer and offer.to_json(),
        }
        sys.stdout.write(to_json(tree))
    else:
        lines = [line for text in _table(points) for line in text.split("\n")]
        said = (file, *lines, verdict_of(points, bad), *([offer.text()] if offer else ()))
        sys.stdout.write("".join(f"{printable(line)}\n" for line in said))
    return 0 if bad is None else 1


def _table(points: Sequence[Point]) -> list[str]:
    rows, before = [_HEAD], None
    for point in points:
        moved = None if point.score is None or before is None else point.score - before
        rows.append(
            (
                point.time.removesuffix("+00:00"),
                point.checkpoint or "-",
                point.commit[:8] or "-",
                number(point.score),
                share(moved, before) or "-",
                str(point.n),
                point.status,
                point.source,
            )
        )
        before = point.score if point.score is not None else before
    return fitted(rows, ("from", "commit", "n"), right=("score", "change", "n"))


def verdict_of(points: Sequence[Point], bad: Point | None) -> str:
    """Return the sentence that a person looks for."""
    if bad is not None:
        name = bad.checkpoint or bad.source
        commit = f", commit {bad.commit[:12]}" if bad.commit else ""
        return f"first bad checkpoint: {name} ({bad.time}{commit}): {number(bad.score)}"
    judged = [point for point in points if point.status != BASELINE]
    return f"no bad checkpoint: the latest run is {judged[-1].status}" if judged else "no run was given, baselines only"
