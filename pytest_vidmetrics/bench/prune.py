"""Baseline files that no gate uses any more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def surplus_baselines(folder: Path, used: Iterable[Path]) -> list[Path]:
    """Return the baseline files beside the used ones that are not used, sorted.

    Only folders of manifests that took part are looked at: another manifest's baselines are not surplus because
    it was not named in this run. A cohort's file (``gate@cohort.json``) is in use as long as its gate is.
    """
    used = {path.resolve() for path in used}
    manifests = {path.parent.parent for path in used if path.is_relative_to(folder.resolve())}
    gates = {(path.parent, gate_of(path)) for path in used}
    found = (path for manifest in sorted(manifests) for path in sorted(manifest.glob("*/*.json")))
    return [path for path in found if (path.parent, gate_of(path)) not in gates]


def gate_of(path: Path) -> str:
    """Return the gate that a baseline file belongs to."""
    return path.stem.partition("@")[0]
