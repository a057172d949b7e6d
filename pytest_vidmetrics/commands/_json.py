"""JSON that commands print: numbers that RFC 8259 knows, lists of numbers on one line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any


def to_json(value: Any) -> str:
    """Return a value as JSON text, lists of numbers on one line.

    NaN and infinities, which JSON does not have, become ``null``.
    """
    return _dump(plain(value), "\n") + "\n"


def _dump(value: Any, newline: str) -> str:
    inner = newline + "  "
    if isinstance(value, dict) and value:
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {_dump(one, inner)}" for key, one in value.items()]
        return "{" + inner + f",{inner}".join(parts) + newline + "}"
    # A list of numbers stays on one line, a list of tables or lists does not.
    if isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        return "[" + inner + f",{inner}".join(_dump(one, inner) for one in value) + newline + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value as JSON values; arrays, tensors and paths are converted."""
    if isinstance(value, bool | str | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    # Arrays and tensors, without importing what makes them.
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
