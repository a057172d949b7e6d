"""Compare two run records or baseline folders, offline, with the verdicts of the gates."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wording import interval, number, printable, table

HELP = "compare two run records or baseline folders"
_POLICY = ("abs", "rel", "decide", "alpha")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("old", type=Path, metavar="A", help="run record (--vidmetrics-report) or baseline folder")
    parser.add_argument("new", type=Path, metavar="B", help="what is compared with A")
    parser.add_argument("--abs", type=_margin, help="absolute margin (default: the one recorded in B, else 0)")
    parser.add_argument("--rel", type=_margin, help="margin relative to A (default: the one recorded in B, else 0)")
    parser.add_argument("--decide", choices=("point", "strict", "lenient"), help="rule of decision (default: recorded)")
    parser.add_argument("--alpha", type=_alpha, help="level of the intervals (default: recorded, else 0.05)")
    parser.add_argument("--json", action="store_true", help="print JSON")


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
    """Print a row per gate; return 1 when one of them does not pass."""
    from pytest_vidmetrics.gates.compare import compare, load_scores

    given = {name: value for name in _POLICY if (value := getattr(args, name)) is not None}
    verdicts = compare(load_scores(args.old), load_scores(args.new), given)
    if args.json:
        sys.stdout.write(to_json({key: verdict.to_wire() for key, verdict in verdicts.items()}))
    else:
        rows = [["gate", "A", "B", "harm", "interval", "margin", "n", "verdict"]]
        lines = table(rows + [_row(key, verdict) for key, verdict in verdicts.items()])
        for key, verdict in verdicts.items():
            if not verdict.passed:
                lines.append(f"{key}: {verdict.status}: {verdict.reason}")
            lines += [f"{key}: {note}" for note in verdict.notes]
        sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    return 0 if all(verdict.passed for verdict in verdicts.values()) else 1


def _row(key: str, verdict: Verdict) -> list[str]:
    before = [number(verdict.baseline), number(verdict.now), number(verdict.harm)]
    after = [interval(verdict.interval), number(verdict.margin), str(verdict.n), verdict.status]
    return [key.removesuffix(".json"), *before, *after]
