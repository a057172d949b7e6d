"""List the metrics: direction, unit, what a sample needs, and the size and licence of the weights."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import Any

from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.commands._weights import described, listed
from pytest_vidmetrics.core.wording import WIDTH, fitted, size

HELP = "list the metrics"
_SPARE = ("licence", "unit")
"""Columns that a narrow terminal does without, in this order."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("selection", nargs="*", metavar="SEL", help="metrics and groups (default: all)")
    parser.add_argument("--weights", action="store_true", help="list the files that they can load, instead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--names", action="store_true", help="print the names only")


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    from pytest_vidmetrics.metrics import registry

    selection = [name for text in args.selection for name in text.split(",") if name]
    names = registry.expand(selection or registry.list_metrics())
    if args.names:
        sys.stdout.write("".join(f"{name}\n" for name in names))
        return 0
    if args.weights:
        files = described(names)
        sys.stdout.write(to_json(files) if args.json else "".join(f"{line}\n" for line in listed(files)))
        return 0
    found = [_describe(name) for name in names]
    if args.json:
        sys.stdout.write(to_json(found))
        return 0
    head = ["metric", "better", "unit", "sample", "weights", "licence"]
    width = max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    lines = fitted([head, *map(_row, found)], _SPARE, width=width)
    if left_out := [name for name in _SPARE if name not in lines[0]]:
        lines.append(f"no room for: {', '.join(left_out)}; a wider terminal and --json show them")
    lines += _dimensions(names)
    lines += [
        f"not installed for {one['name']}: {', '.join(one['missing_dependencies'])}"
        for one in found
        if one["missing_dependencies"]
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _dimensions(names: list[str]) -> list[str]:
    """Return how many of VBench's dimensions are listed, where some are."""
    from pytest_vidmetrics.metrics.vbench.totals import DIMENSIONS

    count = sum(f"vbench.{one}" in names for one in DIMENSIONS)
    return [f"VBench: {count} of {len(DIMENSIONS)} dimensions; docs/vbench.md says what a clip costs"] if count else []


def _describe(name: str) -> dict[str, Any]:
    from pytest_vidmetrics.metrics import registry

    cls = registry.metric_class(name)
    metric = cls()
    return {
        "name": name,
        "version": cls.version,
        "set_metric": cls.is_set_metric,
        "higher_is_better": cls.higher_is_better,
        "unit": cls.unit,
        "requires": list(metric.required_keys()),
        "missing_dependencies": registry.missing_dependencies(name),
        "weights": [
            {
                "name": one.name,
                "source": one.source,
                "filename": one.filename,
                "revision": one.revision,
                "sha256": one.sha256,
                "size": one.size,
                "licence": one.licence,
            }
            for one in metric.weights_files()
        ],
    }


def _row(one: dict[str, Any]) -> list[str]:
    weights = one["weights"]
    sizes = [weight["size"] for weight in weights]
    total = "-" if not weights else size(None if None in sizes else sum(sizes))
    return [
        one["name"],
        "higher" if one["higher_is_better"] else "lower",
        one["unit"] or "-",
        ("set of " if one["set_metric"] else "") + ("+".join(one["requires"]) or "other metrics"),
        total,
        ", ".join(dict.fromkeys(weight["licence"] for weight in weights)) or "-",
    ]
