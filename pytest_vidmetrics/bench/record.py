"""The record of a run: every gate's numbers in one JSON file, for dashboards and later comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.files import write_atomic

SCHEMA = 1


def write_record(
    path: Path,
    gates: Sequence[Mapping[str, Any]],
    work: Mapping[str, int],
    environment: Mapping[str, str],
    root: Path,
) -> None:
    """Write the record whole or not at all; paths below ``root`` are written relative to it. Raises ``OSError``."""
    tree = {
        "schema": SCHEMA,
        "gates": [_portable(gate, str(root)) for gate in sorted(gates, key=lambda gate: str(gate["gate"]))],
        "work": dict(work),
        "environment": dict(environment),
    }
    text = json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, text.encode(), durable=True)


def read_record(path: Path) -> dict[str, dict[str, Any]]:
    """Return ``{baseline file below its folder: gate}`` of a run record, each observation with the run's environment.

    Raises :class:`~pytest_vidmetrics.core.errors.BaselineError` for a file that is no record of this version.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["schema"] != SCHEMA:
            raise ValueError(f"it has schema {tree['schema']!r}, this version reads {SCHEMA}")
        for gate in tree["gates"]:
            if gate.get("observed"):
                gate["observed"]["environment"] = tree["environment"]
        return {"/".join(Path(gate["file"]).parts[-3:]): gate for gate in tree["gates"]}
    except OSError as error:
        raise BaselineError(f"cannot read the run record {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BaselineError(f"{path}: not a run record of schema {SCHEMA}: {error}") from error


def _portable(value: Any, root: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _portable(item, root) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(item, root) for item in value]
    return value.removeprefix(f"{root}/") if isinstance(value, str) else value
