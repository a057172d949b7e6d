"""Fetch weights and prompt lists ahead of time, for machines without a network."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterable

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.places import forget_failures
from pytest_vidmetrics.core.weights import Weights, resolve, verify
from pytest_vidmetrics.core.wording import size, table

HELP = "fetch weights ahead of time"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("selection", nargs="+", metavar="SEL", help="metrics, groups, files as listed, or 'all'")
    parser.add_argument("--dry-run", action="store_true", help="list the files and their total, fetch nothing")
    parser.add_argument("--again", action="store_true", help="fetch files anew that are there")
    parser.add_argument("--verify", action="store_true", help="hash the files that are there, fetch nothing")


def run(args: argparse.Namespace) -> int:
    """Fetch what is missing. Returns 1 when something could not be had; the other files are fetched all the same."""
    selection = [name for text in args.selection for name in map(str.strip, text.split(",")) if name]
    if not selection:
        raise ValueError("the selection is empty, and nothing would be fetched: give metrics, groups, files or 'all'")
    wanted = select(selection)
    rows = [["file", "size", "licence", "source"]]
    rows += [[one.name, size(one.size), one.licence, _source(one)] for one in wanted]
    lines = table(rows) if wanted else ["nothing to fetch: no weights are needed"]
    sys.stdout.write("".join(f"{line}\n" for line in [*lines, *left_out(selection)]))
    if args.dry_run:
        _total(wanted)
        return 0
    if args.verify:
        return _verify(wanted)
    forget_failures()
    failed = 0
    for one in wanted:
        try:
            sys.stdout.write(f"{one.name}: {resolve(one, again=args.again)}\n")
        except UnavailableError as error:
            sys.stderr.write(f"{error}\n")
            failed += 1
    if failed:
        sys.stderr.write(f"{failed} of {len(wanted)} files could not be fetched\n")
    return 1 if failed else 0


def _total(wanted: Iterable[Weights]) -> None:
    sizes = [one.size for one in wanted]
    known = [one for one in sizes if one is not None]
    more = f", and {len(sizes) - len(known)} of unknown size" if len(known) < len(sizes) else ""
    sys.stdout.write(f"{len(known)} files of {size(sum(known))}{more}\n")


def _verify(wanted: Iterable[Weights]) -> int:
    """Say of each file whether it is what was fetched. Returns 1 when one is not."""
    damaged = 0
    for one in wanted:
        fault = verify(one)
        damaged += bool(fault)
        known = "as fetched" if one.sha256 else "as fetched; no sha256 is known"
        sys.stdout.write(f"{one.name}: {'not here' if fault is None else fault or known}\n")
    return 1 if damaged else 0


def select(selection: Iterable[str]) -> list[Weights]:
    """Return the files of metrics, groups, and files named themselves. Raises ``KeyError`` for an unknown name."""
    from pytest_vidmetrics.metrics import registry

    lists = _prompt_lists()
    # A name may be that of several files, of metrics that share it.
    known: dict[str, list[Weights]] = {one.name: [one] for one in lists}
    known["all"] = lists
    by_metric = {name: list(registry.metric_class(name).every_weights()) for name in registry.list_metrics()}
    for checkpoints in by_metric.values():
        for one in checkpoints:
            known.setdefault(one.name, []).append(one)
    chosen: dict[Weights, None] = {}
    for name in selection:
        is_metric = name == "all" or name in by_metric or registry.resolve_group(name) is not None
        if name not in known and not is_metric:
            hint = registry.hint(name, [*registry.selectable(), *known])
            raise KeyError(f"unknown metric, group or file {name!r}{hint}")
        chosen.update(dict.fromkeys(known.get(name, ())))
        for metric in registry.expand([name]) if is_metric else ():
            chosen.update(dict.fromkeys(by_metric[metric]))
    return list(chosen)


def left_out(selection: Iterable[str]) -> list[str]:
    """Return what metrics of a selection may load and :func:`select` does not give, a line each."""
    from pytest_vidmetrics.metrics import registry

    names = [name for name in selection if name == "all" or name in registry.selectable()]
    chosen, meant = registry.expand(names), registry.expand(names, every=True)
    files = {name: registry.metric_class(name).every_weights() for name in meant}
    fetched = {one for name in chosen for one in files[name]}
    found = []
    for name in meant:
        if rest := [one for one in files[name] if one not in fetched]:
            shown = ", ".join(f"{one.name} ({size(one.size)})" for one in rest)
            found.append(f"left out: {shown} of {name}, which is not part of a group: name it")
    own = {name: _own_files(registry.metric_class(name)) for name in chosen}
    for option in dict.fromkeys(option for options in own.values() for option in options):
        users = [name for name, options in own.items() if option in options]
        found.append(f"left out: another file or repository that {option} names ({', '.join(users)})")
    return found


def _own_files(metric: type) -> list[str]:
    """Return the options of a metric that name a file or a repository of the user's."""
    known = inspect.signature(metric).parameters
    # Of optical flow, model_name is a choice of published networks, which are fetched.
    names = ("weights", "model", *(("model_name",) if hasattr(metric, "published") else ()))
    return [name for name in names if name in known]


def _prompt_lists() -> list[Weights]:
    from pytest_vidmetrics.datasets.physics_iq import MANIFEST
    from pytest_vidmetrics.datasets.vbench import FULL_INFO

    return [FULL_INFO, MANIFEST]


def _source(one: Weights) -> str:
    at = f"@{one.revision}" if one.revision else ""
    return f"{one.source}{at}" + (f" {one.filename}" if one.filename else "")
