"""Try out what a metric promises: same bits again, honest direction and range, declared keys, JSON details."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

HELP = "try a metric's promises"
_SHOWN = {"ok": "ok", "fault": "FAULT", "note": "note"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("metric", metavar="METRIC", help="pkg.module:Class, or the name of a registered metric")
    parser.add_argument("--samples", type=Path, metavar="FILE.jsonl", help="rows to try it on; paths from its folder")
    parser.add_argument("--params", default="{}", metavar="JSON", help="constructor arguments, a JSON object")


def run(args: argparse.Namespace) -> int:
    """Print a line for each promise; the status is 1 when one is broken."""
    from pytest_vidmetrics.core.wording import printable
    from pytest_vidmetrics.engine.metric_contract import check_metric, samples_here

    name, params = _name(args.metric), json.loads(args.params)
    if not isinstance(params, dict):
        raise ValueError(f"--params is a JSON object such as '{{\"window\": 7}}', not {args.params}")
    faults = 0
    with tempfile.TemporaryDirectory(prefix="vidmetrics-") as folder:
        samples = _rows(args.samples) if args.samples else samples_here(Path(folder))
        for found in check_metric(name, samples, params):
            faults += found.status == "fault"
            text = f": {printable(found.text)}" if found.text else ""
            sys.stdout.write(f"{_SHOWN[found.status]:<6}{found.check}{text}\n")
    sys.stdout.write(f"{name}: {f'{faults} broken' if faults else 'every promise tried is kept'}\n")
    return 1 if faults else 0


def _name(text: str) -> str:
    """Return the registered name of ``pkg.module:Class``."""
    from pytest_vidmetrics.metrics import registry
    from pytest_vidmetrics.metrics.base import BaseMetric

    if ":" not in text:
        return registry.metric_class(text).name
    module, _, name = text.partition(":")
    # The folder that python -m would import from, for as long as the import takes.
    sys.path.insert(0, str(Path.cwd()))
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{text} cannot be imported: {error}") from error
    finally:
        sys.path.pop(0)
    if not (isinstance(cls, type) and issubclass(cls, BaseMetric)):
        raise ValueError(f"{text} is not a class derived from pytest_vidmetrics.BaseMetric")
    if not cls.name:
        raise ValueError(f'{text} has no name: decorate it with @register("group.name")')
    return cls.name


def _rows(path: Path) -> list[dict[str, Any]]:
    from pytest_vidmetrics.core.text import json_lines
    from pytest_vidmetrics.core.types import PATH_KEYS

    rows = []
    for number, row in json_lines(path):
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: a row is an object of sample keys")
        values = {key: str(path.parent / one) if key in PATH_KEYS else one for key, one in row.items()}
        # Rows may have ids of their own.
        rows.append({"id": f"row{number}", **values})
    if not rows:
        raise ValueError(f"{path} has no rows")
    return rows
