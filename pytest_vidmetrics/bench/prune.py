"""Baseline files that no gate uses any more."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def surplus_baselines(folder: Path, used: Iterable[Path]) -> list[Path]:
    """Return the baseline files beside the used ones that are not used, sorted.

    Only folders of manifests that took part are looked at: another manifest's baselines are not surplus because
    it was not named in this run. A cohort's file (``gate@cohort.json``) is in use as long as its gate is. A file
    that is reached through a link is in use under either name.
    """
    used = [path.absolute() for path in used]
    manifests = {path.parent.parent for path in used if path.is_relative_to(folder.absolute())}
    gates = {key for path in used for key in _keys(path)}
    found = (path for manifest in sorted(manifests) for path in _files(manifest))
    return [path for path in found if gates.isdisjoint(_keys(path))]


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
