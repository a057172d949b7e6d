"""Who recorded a baseline: one gate of a manifest's case, or one check of a test function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytest_vidmetrics.core.names import name_fault
from pytest_vidmetrics.core.samples import clean_id
from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.case import manifest_stem

Kind = Literal["manifest", "check"]
_LAYOUTS: dict[Kind, tuple[str, str, str]] = {
    "manifest": ("manifest", "case", "gate"),
    "check": ("file", "test", "check"),
}


@dataclass(frozen=True)
class Recorder(Wire):
    """``file`` is relative to the folder of the baselines, with ``/`` between its parts, wherever that folder lies."""

    kind: Kind
    file: str
    node: str
    gate: str

    @classmethod
    def of(cls, kind: Kind, file: Path, folder: Path, node: str, gate: str) -> Recorder:
        """Return the recorder of a gate or check in ``file``, whose baselines lie below ``folder``."""
        return cls(kind, os.path.relpath(file, folder).replace(os.sep, "/"), node, gate)

    def to_json(self) -> dict[str, str]:
        """Return what a baseline file says."""
        return dict(zip(_LAYOUTS[self.kind], (self.file, self.node, self.gate), strict=True))

    @classmethod
    def from_json(cls, tree: Any) -> Recorder:
        """Return the recorder that a baseline file names. Raises ``ValueError`` for anything else."""
        for kind, names in _LAYOUTS.items():
            if isinstance(tree, Mapping) and tree.keys() == set(names):
                values = [tree[name] for name in names]
                if all(isinstance(value, str) for value in values):
                    return cls(kind, *values)
        raise ValueError(f"recorded_by is {shown(tree)}, which names no gate of a manifest and no check of a test")

    def path(self, folder: Path) -> Path:
        """Return the manifest or test file. ``..`` is resolved as text: the folder may be a link."""
        return Path(os.path.normpath(folder / self.file))

    def exists(self, folder: Path) -> bool:
        """Whether the manifest or the test file is still there."""
        try:
            return self.path(folder).is_file()
        except (OSError, ValueError):
            return False

    def places(self, folder: Path, root: Path) -> tuple[str, ...]:
        """Return where the baselines lie, without suffix: by the path of the manifest from ``root``, and by its name.

        A manifest that lies in ``root`` itself, or outside of it, has the second place only; so has a check.
        """
        file = self.path(folder)
        if self.kind == "check":
            # Parametrized tests have brackets and slashes in their ids.
            return (f"{file.stem}/{clean_id(self.node)}/{clean_id(self.gate)}",)
        stem = manifest_stem(file)
        by_name = f"{stem}/{self.node}/{self.gate}"
        above = file.parent.relative_to(root).parts if file.is_relative_to(root) else ()
        # A folder with a name that no key can have: the manifest's own name is its only place.
        if not above or any(map(name_fault, above)):
            return (by_name,)
        return ("/".join((*above, by_name)), by_name)

    def __str__(self) -> str:
        """Return whose a baseline is, for messages."""
        last = f"::{self.gate}" if self.kind == "manifest" else f" {self.gate!r}"
        return f"{self.file}::{self.node}{last}"
