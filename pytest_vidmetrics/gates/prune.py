"""Baseline files that no gate uses any more."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.gates.baseline import read_baseline


def surplus_baselines(folder: Path, used: Iterable[Path], manifests: Iterable[str]) -> list[Path]:
    """Return the baseline files beside the used ones that are not used, sorted.

    Only what a manifest has recorded that is one of ``manifests``, those that took part, or that is gone: the
    baselines of a test function, or of another manifest of the same name, are not surplus. A cohort's file
    (``gate@cohort.json``) is in use as long as its gate is. A file that is reached through a link is in use under
    either name.
    """
    used = [path.absolute() for path in used]
    folders = {path.parent.parent for path in used if path.is_relative_to(folder.absolute())}
    gates = {key for path in used for key in _keys(path)}
    found = (path for one in sorted(folders) for path in _files(one))
    owners = frozenset(manifests)
    return [path for path in found if gates.isdisjoint(_keys(path)) and _is_owned(folder, _owner(path), owners)]


def _is_owned(folder: Path, owner: str | None, owners: Collection[str]) -> bool:
    return owner is not None and (owner in owners or not (folder / owner).is_file())


def _owner(path: Path) -> str | None:
    try:
        found = read_baseline(path)
    except BaselineError:  # what cannot be read is nobody's to delete
        return None
    return found.environment.get("manifest") if found else None


def _keys(path: Path) -> set[tuple[str, str]]:
    """Return the folder as it is named and as links lead to it, each with the gate."""
    return {(str(path.parent), gate_of(path)), (os.path.realpath(path.parent), gate_of(path))}


def _files(manifest: Path) -> list[Path]:
    try:
        return sorted(manifest.glob("*/*.json"))
    except (OSError, RuntimeError):  # links that lead to themselves
        return []


def gate_of(path: Path) -> str:
    """Return the gate that a baseline file belongs to."""
    return path.stem.partition("@")[0]
