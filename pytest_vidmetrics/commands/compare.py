"""Compare runs offline: each with the first of them, by the verdicts of the gates."""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import get_args

from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.policy import Decide
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wording import fitted, interval, number, printable, share
from pytest_vidmetrics.gates.compare import apart, compare, load_scores

HELP = "compare run records or baseline folders with the first of them"
_POLICY = ("abs", "rel", "decide", "alpha")
_HEAD = ("gate", "run", "score", "change", "harm", "interval", "margin", "n", "apart", "verdict")
_SPARE = ("margin", "change", "n")
_APART = "apart: whether the interval of the difference to the first run excludes 0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("old", type=Path, metavar="A", help="run record (--vidmetrics-report) or baseline folder")
    parser.add_argument("new", type=Path, nargs="+", metavar="B", help="what is compared with A, each by itself")
    parser.add_argument("--abs", type=_margin, help="absolute margin (default: the one recorded in B, else 0)")
    parser.add_argument("--rel", type=_margin, help="margin relative to A (default: the one recorded in B, else 0)")
    parser.add_argument("--decide", choices=get_args(Decide), help="rule of decision (default: recorded)")
    parser.add_argument("--alpha", type=_alpha, help="level of the intervals (default: recorded, else 0.05)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON: verdicts by gate; by run too, of several B")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    form.add_argument("--csv", action="store_true", help="print CSV")


def _number_in(text: str) -> float:
    """Return the number in a text; NaN, which lies in no range, for one that holds none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _margin(text: str) -> float:
    if not 0 <= (value := _number_in(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"a margin is a finite number of at least 0, got {text}")
    return value


def _alpha(text: str) -> float:
    if not 0 < (value := _number_in(text)) <= 0.5:
        raise argparse.ArgumentTypeError(f"alpha is the error of one end, above 0 and up to 0.5, got {text}")
    return value


def run(args: argparse.Namespace) -> int:
    """Print a row per gate and run; return 1 when one of them does not pass."""
    given = {name: value for name in _POLICY if (value := getattr(args, name)) is not None}
    first, *names = _names([args.old, *args.new])
    old = load_scores(args.old)
    found = {name: compare(old, load_scores(path), given) for name, path in zip(names, args.new, strict=True)}
    if args.json:
        trees = {name: {key: one.to_wire() for key, one in verdicts.items()} for name, verdicts in found.items()}
        sys.stdout.write(to_json(trees if len(trees) > 1 else trees[names[0]]))
    elif args.csv:
        sys.stdout.write(_csv(found))
    elif args.markdown:
        sys.stdout.write(_markdown(_rows(first, found)))
    else:
        lines = [line for text in fitted([_HEAD, *_rows(first, found)], _SPARE) for line in text.split("\n")]
        lines += [_APART, *_remarks(found)]
        sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    return 0 if all(one.passed for verdicts in found.values() for one in verdicts.values()) else 1


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what the runs are called: their files without suffix, or their paths where two would be called alike."""
    short = [path.stem if path.is_file() else path.name or str(path) for path in paths]
    # Names must differ, or two runs would be one column.
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    if len(set(names[1:])) < len(names) - 1:
        raise VidmetricsError(f"a run is given twice: {', '.join(names[1:])}")
    return names


def _rows(first: str, found: Mapping[str, Mapping[str, Verdict]]) -> Iterable[tuple[str, ...]]:
    """Yield the first run's score of a gate, and below it each other run with its difference."""
    for key in sorted({key for verdicts in found.values() for key in verdicts}):
        own = {name: verdicts[key] for name, verdicts in found.items() if key in verdicts}
        was = next((one.baseline for one in own.values() if one.baseline is not None), None)
        yield (key.removesuffix(".json"), first, number(was), *["-"] * 6, "-")
        for name, one in own.items():
            # A gate that is missing on a side has no difference.
            moved = None if one.now is None or one.baseline is None else one.now - one.baseline
            yield (
                "",
                name,
                number(one.now),
                share(moved, one.baseline) or "-",
                number(one.harm, 4),
                interval(one.interval, 3),
                number(one.margin, 4),
                str(one.n),
                apart(one),
                one.status,
            )


def _remarks(found: Mapping[str, Mapping[str, Verdict]]) -> Iterable[str]:
    for name, verdicts in found.items():
        of = f"{name}: " if len(found) > 1 else ""
        for key, one in verdicts.items():
            if not one.passed:
                yield f"{of}{key}: {one.status}: {one.reason}"
            yield from (f"{of}{key}: {note}" for note in one.notes)


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    cells = [[" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in row] for row in rows]
    lines = [_HEAD, ["---"] * len(_HEAD), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + f"\n{_APART}\n"


def _csv(found: Mapping[str, Mapping[str, Verdict]]) -> str:
    """Return one line per gate and run, with every digit; a value that there is not is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["gate", "run", "first", "score", "harm", "low", "high", "margin", "n", "apart", "verdict"])
    for name, verdicts in found.items():
        for key, one in verdicts.items():
            low, high = one.interval or (None, None)
            numbers = [one.baseline, one.now, one.harm, low, high, one.margin, one.n]
            writer.writerow([key.removesuffix(".json"), name, *numbers, apart(one), one.status])
    return out.getvalue()
