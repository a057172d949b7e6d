"""Damage the clips of a case in memory, in three doses, and say which gate would have caught what.

Nothing is written beside the clips; results are kept in the result store, so that a second run computes nothing. With
``-n`` several processes fill it first, each with a share of the degradations.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.ci import in_ci
from pytest_vidmetrics.core.errors import VidmetricsError, closest
from pytest_vidmetrics.core.wording import printable, table

if TYPE_CHECKING:
    from pytest_vidmetrics.core.policy import MetricConfig
    from pytest_vidmetrics.engine.worker import EvalWorker
    from pytest_vidmetrics.gates.case import Case, Manifest
    from pytest_vidmetrics.gates.folder import BaselineFolder
    from pytest_vidmetrics.gates.selftest import Caught, Gate
    from pytest_vidmetrics.media.degradations import Degradation

HELP = "say what gates would catch, on your own clips"
_SCHEMA = 1

Doses = dict[str, dict[str, int | None]]
"""The smallest dose that is caught, by gate and degradation."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("path", type=Path, help="manifest, or a folder of manifests")
    parser.add_argument("--checkpoint", metavar="NAME", help="clips to damage (default: the manifest's)")
    parser.add_argument("--metrics", default="all", metavar="SEL", help="metrics and groups, by comma")
    parser.add_argument("--only", metavar="NAMES", help="degradations, by comma")
    parser.add_argument("--record", action="store_true", help="write the table below the baselines, to be committed")
    parser.add_argument("--allow-ci-update", action="store_true", help="write also where CI is set")
    parser.add_argument("--baseline-dir", type=Path, default=Path("baselines"), help="default: baselines")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--store", metavar="URL", help="keep and look for results there (default: in the cache)")
    parser.add_argument("-n", dest="processes", type=int, default=1, metavar="N", help="processes that share the work")


def run(args: argparse.Namespace) -> int:
    """Print a table for each case. Returns 1 when a gate sees less than the committed table says."""
    from pytest_vidmetrics.core.cache import get_cache_dir
    from pytest_vidmetrics.engine.devices import resolve_devices
    from pytest_vidmetrics.engine.object_store import open_store
    from pytest_vidmetrics.engine.worker import EvalWorker
    from pytest_vidmetrics.gates.folder import BaselineFolder
    from pytest_vidmetrics.gates.manifest import load_manifest

    if args.record and in_ci() and not args.allow_ci_update:
        raise VidmetricsError("tables are recorded by a person: refused in CI without --allow-ci-update")
    kinds = _chosen(args.only)
    folder = BaselineFolder(args.baseline_dir.absolute(), Path.cwd())
    if args.processes < 1:
        raise VidmetricsError(f"-n must be at least 1, got {args.processes}")
    store = args.store or get_cache_dir() / "store"
    worker = EvalWorker(open_store(store), lambda: resolve_devices(args.device)[0])
    if args.processes > 1:
        # 0 and 1 are the two ways to end well: nothing lost, something lost.
        for code in filter(lambda code: code not in (0, 1), share(args, [kind.name for kind in kinds], str(store))):
            _say(f"a process ended with code {code}: what it left is computed here")
    red = False
    for path in _manifests(args.path):
        manifest = load_manifest(path)
        for case in manifest.cases:
            red |= _one(case, manifest, folder, worker, kinds, args)
    return int(red)


def share(args: argparse.Namespace, names: Sequence[str], store: str) -> list[int]:
    """Fill the store in several processes, each with a share of the degradations; return how they ended.

    What they find is not read: this process looks into the store for all of it, and computes what is not there.
    """
    count = min(args.processes, len(names))
    command = [sys.executable, "-m", "pytest_vidmetrics.cli", "selftest", str(args.path), f"--metrics={args.metrics}"]
    command += [f"--baseline-dir={args.baseline_dir}", f"--device={args.device}", f"--store={store}"]
    command += [f"--checkpoint={args.checkpoint}"] if args.checkpoint is not None else []
    # What the user has set wins.
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)), **os.environ}
    children: list[subprocess.Popen[bytes]] = []
    try:
        for turn in range(count):
            part = f"--only={','.join(names[turn::count])}"
            quiet = subprocess.DEVNULL
            children.append(subprocess.Popen([*command, part], stdin=quiet, stdout=quiet, stderr=quiet, env=threads))
        return [child.wait() for child in children]
    finally:
        for child in children:
            # Whatever ends this process ends its children.
            if child.poll() is None:
                child.terminate()
                child.wait()


def _say(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")


def _chosen(names: str | None) -> list[Degradation]:
    from pytest_vidmetrics.media.degradations import DEGRADATIONS

    known = {one.name: one for one in DEGRADATIONS}
    wanted = [name.strip() for name in names.split(",")] if names is not None else list(known)
    for name in wanted:
        if name not in known:
            raise VidmetricsError(f"unknown degradation {name!r}{closest(name, known)}; known: {', '.join(known)}")
    return [known[name] for name in wanted]


def _manifests(path: Path) -> list[Path]:
    from pytest_vidmetrics.gates.case import is_manifest

    found = [path] if path.is_file() else sorted(one for one in path.rglob("*") if is_manifest(one))
    if not found:
        raise VidmetricsError(f"{path}: no manifest (*.vidmetrics.toml, .yaml, .yml or .json) is there")
    return found


def _one(
    case: Case,
    manifest: Manifest,
    folder: BaselineFolder,
    worker: EvalWorker,
    kinds: Sequence[Degradation],
    args: argparse.Namespace,
) -> bool:
    """Print the table of one case, compare or record it, and return whether it is red."""
    from pytest_vidmetrics.gates.listing import resolve_samples
    from pytest_vidmetrics.gates.selection import gates_of
    from pytest_vidmetrics.gates.selftest import table as caught_by

    chosen = gates_of(case, args.metrics.split(","))
    gates, untried = _gates(chosen, case, manifest, folder)
    found = list(caught_by(gates, resolve_samples(case, args.checkpoint), worker, kinds))
    untried += [f"{one.gate}: {one.why}" for one in found if one.why]
    tried = [one for one in found if not one.why]
    _say(f"{manifest.path}::{case.name}")
    _say("\n".join(table(_rows(tried, kinds), "  ")))
    for line in untried:
        _say(f"  not tried: {line}")
    doses: Doses = {}
    for one in tried:
        doses.setdefault(one.gate, {})[one.degradation] = one.dose
    file = folder.path / manifest.stem / f"{case.name}.sight.json"
    before = _read(file)
    # A gate that is no longer there has lost all; one that was not asked for has not.
    asked = before if args.metrics == "all" else {one.gate: before.get(one.gate, {}) for one in chosen}
    lost = _lost(asked, doses, [kind.name for kind in kinds])
    if args.record:
        # A case may be recorded gate by gate, and kind by kind.
        _write(file, before | {gate: before.get(gate, {}) | new for gate, new in doses.items()})
        _say(f"  written: {file}")
        return False
    for line in lost:
        _say(f"  LOST: {line}")
    if lost:
        _say("  these gates see less than before: narrow their margins, or accept it with --record")
    elif not before:
        _say(f"  no table is recorded in {file}: --record writes it")
    return bool(lost)


def _gates(
    chosen: Sequence[MetricConfig], case: Case, manifest: Manifest, folder: BaselineFolder
) -> tuple[list[Gate], list[str]]:
    """Return the gates that can be tried, with the noise that their baselines hold, and the others with the reason."""
    from pytest_vidmetrics.core.errors import UnavailableError
    from pytest_vidmetrics.gates.recorder import Recorder
    from pytest_vidmetrics.gates.seat import Seat
    from pytest_vidmetrics.gates.selftest import Gate
    from pytest_vidmetrics.metrics import registry
    from pytest_vidmetrics.metrics.composite import is_composite

    found, others = [], []
    for config in chosen:
        if is_composite(config.metric):
            others.append(f"{config.gate}: it combines others, which are tried themselves where they are gates")
            continue
        try:
            metric = registry.get_metric(config.metric, **config.params)
        except UnavailableError as error:
            others.append(f"{config.gate}: {error}")
            continue
        owner = Recorder.of("manifest", manifest.path, folder.path, case.name, config.gate)
        recorded = Seat(folder, owner).find().baseline
        found.append(Gate(config, metric, owner, recorded.noise if recorded is not None else None))
    return found, others


def _rows(found: Sequence[Caught], kinds: Sequence[Degradation]) -> list[list[str]]:
    """Return a row for each degradation and a column for each gate: the smallest dose that is caught, in words."""
    gates = list(dict.fromkeys(one.gate for one in found))
    doses = {(one.gate, one.degradation): one.dose for one in found}
    rows = [["smallest dose caught", *gates]]
    for kind in kinds:
        cells = [_cell(kind, doses[gate, kind.name]) if (gate, kind.name) in doses else "" for gate in gates]
        if any(cells):
            rows.append([kind.name, *cells])
    return rows


def _cell(kind: Degradation, dose: int | None) -> str:
    return "none" if dose is None else kind.doses[dose - 1]


def _lost(before: Doses, now: Doses, kinds: Sequence[str]) -> list[str]:
    """Return what was caught at a dose and is not any more, among the degradations that were tried."""
    lines = []
    for gate, recorded in sorted(before.items()):
        for kind in (one for one in kinds if recorded.get(one) is not None):
            was, dose = recorded[kind], now.get(gate, {}).get(kind)
            if was is not None and (dose is None or dose > was):
                lines.append(f"{gate}: {kind} was caught from dose {was} on, now {_from(dose)}")
    return lines


def _from(dose: int | None) -> str:
    return "not at all" if dose is None else f"from dose {dose} on"


def _read(file: Path) -> Doses:
    try:
        tree: Any = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise VidmetricsError(f"{file}: not a table of selftest: {error}") from error
    caught = tree.get("caught") if isinstance(tree, Mapping) and tree.get("schema") == _SCHEMA else None
    if not isinstance(caught, Mapping) or not all(_is_row(row) for row in caught.values()):
        raise VidmetricsError(f"{file}: not a table of selftest; record it again with --record")
    return {gate: dict(row) for gate, row in caught.items()}


def _is_row(row: Any) -> bool:
    return isinstance(row, Mapping) and all(dose is None or dose in (1, 2, 3) for dose in row.values())


def _write(file: Path, doses: Doses) -> None:
    from pytest_vidmetrics.core.files import write_tracked

    file.parent.mkdir(parents=True, exist_ok=True)
    gates = [f"  {json.dumps(gate)}: {json.dumps(row, sort_keys=True)}" for gate, row in sorted(doses.items())]
    text = f'{{\n "schema": {_SCHEMA},\n "caught": {{\n' + ",\n".join(gates) + "\n }\n}\n"
    write_tracked(file, text.encode())
