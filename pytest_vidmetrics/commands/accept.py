"""Accept new scores of a run record as baselines, as --update-baselines would have recorded them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_vidmetrics.core.errors import VidmetricsError, closest

HELP = "accept scores of a run record as baselines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("record", type=Path, help="run record: FILE.json or FILE.html of --vidmetrics-report")
    parser.add_argument(
        "gates",
        nargs="+",
        metavar="GATE",
        help="its baseline file, with or without .json, its id, or the end of either",
    )
    parser.add_argument("--baseline-dir", type=Path, default=Path("baselines"), help="default: baselines")
    parser.add_argument("--allow-ci-update", action="store_true", help="write also where CI is set")


def run(args: argparse.Namespace) -> int:
    """Write a baseline for every gate that is named; none when one of them cannot be accepted."""
    from pytest_vidmetrics.gates.accept import acceptable, accepted
    from pytest_vidmetrics.gates.folder import BaselineFolder
    from pytest_vidmetrics.gates.record import read_record

    if os.environ.get("CI", "").lower() not in ("", "0", "false") and not args.allow_ci_update:
        raise VidmetricsError("baselines are accepted by a person: refused in CI without --allow-ci-update")
    record = read_record(args.record)
    folder = BaselineFolder(args.baseline_dir.absolute(), Path.cwd())
    keys = list(dict.fromkeys(_named(name, {gate.file: gate.gate for gate in record.gates}) for name in args.gates))
    gates = record.by_file()
    faults = [f"{key}: {fault}" for key in keys if (fault := acceptable(gates[key]))]
    if faults:
        raise VidmetricsError(f"nothing was written: {'; '.join(faults)}")
    new = {key: accepted(folder, gates[key], record.environment) for key in keys}
    for key, baseline in new.items():
        sys.stdout.write(f"written: {folder.write(key, baseline)}\n")
    return 0


def _named(name: str, gates: dict[str, str]) -> str:
    """Return the baseline file of the gate that a name means. Raises ``VidmetricsError`` for none and for several."""
    exact = [file for file, id in gates.items() if name in (file, file.removesuffix(".json"), id)]
    found = exact or [file for file, id in gates.items() if _ends(file.removesuffix(".json"), id, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise VidmetricsError(f"{name!r} means {len(found)} gates: {_some(found)}; name one of them")
    hint = closest(name, [file.removesuffix(".json") for file in gates])
    raise VidmetricsError(f"the record has no gate {name!r}{hint}")


def _ends(file: str, id: str, name: str) -> bool:
    return file.endswith(f"/{name.removesuffix('.json')}") or id.endswith(f"::{name}")


def _some(files: Sequence[str]) -> str:
    return ", ".join(file.removesuffix(".json") for file in sorted(files)[:5])
