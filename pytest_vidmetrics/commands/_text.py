"""Output that commands share: tables, and JSON of numbers that RFC 8259 knows."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as left-aligned columns, the first row being the heads; the last column is not padded."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "".join(f"{line}\n" for line in lines)


def size(count: int | None) -> str:
    """Return a number of bytes for people; ``?`` when it is not known."""
    if count is None:
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


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
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
