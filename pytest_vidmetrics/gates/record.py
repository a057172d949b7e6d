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
    """Write the record whole or not at all; paths below ``root`` are written relative to it. Raises ``OSError``.

    What is compared later, the observation and the policy, is written as it is.
    """
    tree = {
        "schema": SCHEMA,
        "gates": [_portable_gate(gate, str(root)) for gate in sorted(gates, key=lambda gate: str(gate["gate"]))],
        "work": dict(work),
        "environment": dict(environment),
    }
    text = json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, text.encode(), durable=True)


def read_record(path: Path) -> dict[str, dict[str, Any]]:
    """Return ``{baseline file below its folder: gate}`` of a run record.

    Each observation has the environment of the run beside what it says of its own. Raises
    :class:`~pytest_vidmetrics.core.errors.BaselineError` for a file that is no record of this version, and for two
    gates of one baseline file.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return _read(tree)
    except OSError as error:
        raise BaselineError(f"cannot read the run record {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path}: not a run record of schema {SCHEMA}: {error}") from error


def _read(tree: Any) -> dict[str, dict[str, Any]]:
    _fields(tree, _RECORD, "the record")
    if tree["schema"] != SCHEMA:
        raise ValueError(f"it has schema {tree['schema']!r}, this version reads {SCHEMA}")
    found: dict[str, dict[str, Any]] = {}
    for number, gate in enumerate(tree["gates"]):
        where = f"gates[{number}]"
        _fields(gate, _GATE, where)
        key = "/".join(Path(gate["file"]).parts[-3:])
        _fields(gate["verdict"], _VERDICT, f"{key}: the verdict")
        for clip in gate["verdict"]["worst"]:
            _fields(clip, _CLIP, f"{key}: a clip of the verdict")
        if key in found:
            raise ValueError(f"{where} has the baseline file {key}, and so has a gate before it")
        observed = gate.get("observed")
        if observed:
            if not isinstance(observed, dict):
                raise ValueError(f"{key}: observed is {observed!r:.40}, not an object")
            observed["environment"] = {**tree["environment"], **_facts(observed)}
        found[key] = gate
    return found


def _facts(observed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an observation says of its own gate, beside the environment of the run."""
    own = observed.get("environment")
    return own if isinstance(own, dict) else {}


_Number = (int, float, type(None))
_RECORD = {"schema": object, "gates": list, "environment": dict}
_GATE = {"file": str, "verdict": dict}
_VERDICT = {"status": str, "reason": str, "baseline": _Number, "now": _Number, "n": int, "worst": list}
_CLIP = {"id": str, "path": str, "baseline": _Number, "now": _Number}


def _fields(value: Any, kinds: Mapping[str, Any], where: str) -> None:
    """Raise ``ValueError`` for what is no object with fields of these kinds."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r:.40}, not an object")
    for name, kind in kinds.items():
        if name not in value:
            raise ValueError(f"{where} has no {name}")
        if not isinstance(value[name], kind):
            raise ValueError(f"{where} has {name} = {value[name]!r:.40}")


def _portable_gate(gate: Mapping[str, Any], root: str) -> dict[str, Any]:
    # A path among the parameters of a metric is part of its identity: a shorter one would be another metric's.
    return {key: value if key in ("observed", "policy") else _portable(value, root) for key, value in gate.items()}


def _portable(value: Any, root: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _portable(item, root) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(item, root) for item in value]
    return value.removeprefix(f"{root}/") if isinstance(value, str) else value
