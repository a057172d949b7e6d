"""Make the HTML report of a run record, in one file or a folder, or its summary in Markdown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.files import write_atomic

if TYPE_CHECKING:
    from pytest_vidmetrics.gates.history import Point
    from pytest_vidmetrics.gates.record import RunRecord

HELP = "make the HTML report of a run record"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("record", type=Path, help="run record: FILE.json or FILE.html of --vidmetrics-report")
    parser.add_argument(
        "others", type=Path, nargs="*", help="records of other runs, whose clips are shown beside those of the same id"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="FILE.html, FILE.md, or a folder")
    parser.add_argument(
        "--baseline-clips",
        type=Path,
        metavar="DIR",
        help="folder with the clips that the baseline was recorded from: those of the same file name stand beside",
    )
    parser.add_argument(
        "--history", type=Path, metavar="DIR", help="folder with records of earlier runs: curves of gates"
    )
    parser.add_argument(
        "--baseline-dir", type=Path, default=Path("baselines"), help="for --history; default: baselines"
    )
    parser.add_argument("--root", type=Path, default=Path(), help="where the paths of the record start; default: here")
    parser.add_argument("--budget", type=float, default=None, metavar="MIB", help="room for media; default: 24 MiB")
    parser.add_argument("--cache", type=Path, default=None, help="folder with the result store; default: as in pytest")
    parser.add_argument("--store", default=None, metavar="URL", help="the run's --vidmetrics-store")


def run(args: argparse.Namespace) -> int:
    """Write the report. Nothing is scored: values of each frame are those that the store kept."""
    from pytest_vidmetrics.report.build import BUDGET_MIB

    if args.budget is not None and not 0 <= args.budget < 4096:
        raise VidmetricsError(f"--budget is a number of MiB from 0 to 4096, not {args.budget:g}")
    what = "summary" if args.output.suffix.lower() == ".md" else "report"
    try:
        _write(args, BUDGET_MIB if args.budget is None else args.budget)
    except OSError as error:
        raise VidmetricsError(f"cannot write the {what} {args.output}: {error.strerror or error}") from error
    sys.stdout.write(f"{what} written to {args.output}\n")
    return 0


def _write(args: argparse.Namespace, budget: float) -> None:
    from pytest_vidmetrics.core.cache import get_cache_dir
    from pytest_vidmetrics.engine.object_store import open_store
    from pytest_vidmetrics.gates.record import read_record
    from pytest_vidmetrics.report.build import write_from_store
    from pytest_vidmetrics.report.clips import clips_beside
    from pytest_vidmetrics.report.summary import summary_of
    from pytest_vidmetrics.report.view import view

    record = read_record(args.record)
    if args.output.suffix.lower() == ".md":
        write_atomic(args.output, summary_of(view(record)).encode())
        return
    others = {path.stem: read_record(path) for path in args.others}
    # Sides of the page that have these names already.
    taken = {"candidate", "reference", *(("baseline",) if args.baseline_clips else ())}
    if len(others) < len(args.others) or taken & others.keys():
        raise VidmetricsError("the records of other runs need names of their own: rename one")
    if args.baseline_clips is not None:
        others = {"baseline": clips_beside(record, args.baseline_clips), **others}
    store = open_store(args.store or (args.cache or get_cache_dir()) / "store")
    write_from_store(
        args.output,
        record,
        args.root,
        store,
        record_name=str(args.record),
        budget_mib=budget,
        others=others,
        histories=_histories(args, record),
    )


def _histories(args: argparse.Namespace, record: RunRecord) -> dict[str, list[Point]]:
    """Return the points of each gate, this run among them; nothing where no history is asked for."""
    from pytest_vidmetrics.gates.folder import BaselineFolder
    from pytest_vidmetrics.gates.history import in_order, of_baseline, of_records, records_in

    if args.history is None:
        return {}
    # This run may lie in the folder of the history, and counts once.
    records = {path: one for path, one in records_in(args.history).items() if one != record} | {"this run": record}
    folder = BaselineFolder(args.baseline_dir.absolute(), Path.cwd())
    return {file: in_order([*of_baseline(folder.file(file)), *of_records(records, file)]) for file in record.by_file()}
