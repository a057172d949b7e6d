"""Baselines in tests: who records them, and changing their files as nobody may by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.gates.baseline import seal
from pytest_vidmetrics.gates.recorder import Recorder

OWNER = Recorder("manifest", "../bench.vidmetrics.toml", "demo", "m")


def edit_baseline(path: Path, change: Mapping[str, Any], *, sealed: bool = True) -> None:
    """Replace keys of a baseline file. ``sealed``: with the digest that the new content has, as if recorded so."""
    tree = {**json.loads(path.read_text("utf-8")), **change}
    if sealed:
        tree["digest"] = seal(tree)
    path.write_text(json.dumps(tree, indent=1, sort_keys=True) + "\n", "utf-8")
