"""Accept new scores of a run record as baselines, as --update-baselines would have recorded them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_vidmetrics.commands._named import HELP as GATE_HELP
from pytest_vidmetrics.commands._named import named
from pytest_vidmetrics.core.ci import in_ci
from pytest_vidmetrics.core.errors import VidmetricsError

HELP = "accept scores of a run record as baselines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("record", type=Path, help="run record: FILE.json or FILE.html of --vidmetrics-report")
    parser.add_argument(
        "gates",
        nargs="+",
        metavar="GATE",
        help=GATE_HELP,
    )
    parser.add_argument("--baseline-dir", type=Path, default=Path("baselines"), help="default: baselines")
    parser.add_argument("--allow-ci-update", action="store_true", help="write also where CI is set")


def run(args: argparse.Namespace) -> int:
    """Write a baseline for every gate that is named; none when one of them cannot be accepted."""
    from pytest_vidmetrics.gates.accept import acceptable, accepted
    from pytest_vidmetrics.gates.folder import BaselineFolder
    from pytest_vidmetrics.gates.record import read_record

    if in_ci() and not args.allow_ci_update:
        raise VidmetricsError("baselines are accepted by a person: refused in CI without --allow-ci-update")
    record = read_record(args.record)
    folder = BaselineFolder(args.baseline_dir.absolute(), Path.cwd())
    keys = list(dict.fromkeys(named(name, {gate.file: gate.gate for gate in record.gates}) for name in args.gates))
    gates = record.by_file()
    faults = [f"{key}: {fault}" for key in keys if (fault := acceptable(gates[key]))]
    # All faults first: some baselines would be written and others not.
    if faults:
        raise VidmetricsError(f"nothing was written: {'; '.join(faults)}")
    new = {key: accepted(folder, gates[key], record.environment) for key in keys}
    for key, baseline in new.items():
        sys.stdout.write(f"written: {folder.write(key, baseline)}\n")
    return 0
