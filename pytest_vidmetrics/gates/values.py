"""What sample values may be: one check for rows of a sample list and for the keys of a case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pytest_vidmetrics.core.types import PATH_KEYS

_TEXTS = frozenset({"text_prompt", "prompt", "reference_text", "language", "scenario", "view", "role"})
_TABLES = frozenset({"auxiliary_info"})
_NUMBERS = frozenset({"mouse_pitch_sign"})
_DEPTH = 32


def fault(key: str, value: Any) -> str | None:
    """Return what is wrong with the value of a sample key, with what is expected; ``None`` for a usable one.

    Paths and texts are text without NUL, rates (``fps`` and keys that end in ``_fps``) positive numbers,
    ``auxiliary_info`` a table. Every other key may hold any JSON value of finite numbers and whole characters.
    """
    if key in PATH_KEYS and (not isinstance(value, str) or not value.strip()):
        return f"{key} must be the path of a file, got {_shown(value)}"
    if key in _TEXTS and not isinstance(value, str):
        return f"{key} must be text, got {_shown(value)}"
    if key in _TABLES and not isinstance(value, Mapping):
        return f"{key} must be a table, got {_shown(value)}"
    if (key == "fps" or key.endswith("_fps")) and not (_is_number(value) and value > 0):
        return f"{key} must be a number of frames per second above 0, got {_shown(value)}"
    if key in _NUMBERS and not _is_number(value):
        return f"{key} must be a number, got {_shown(value)}"
    if inner := _not_plain(value, 0):
        return f"{key} holds {inner}"
    return None


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _not_plain(value: Any, depth: int) -> str | None:
    """Return what a value holds that no metric can read and no digest can cover."""
    if depth > _DEPTH:
        return f"tables inside tables, more than {_DEPTH} deep"
    if isinstance(value, str):
        if "\0" in value:
            return "a NUL character"
        return None if _is_unicode(value) else "half a character (a lone surrogate)"
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return None if _is_number(value) else f"a number that is not finite: {_shown(value)}"
    if isinstance(value, Mapping):
        # Keys too: they go into digests like values.
        found = (_not_plain(part, depth + 1) for pair in value.items() for part in pair)
        return next((one for one in found if one), None)
    if isinstance(value, list | tuple):
        return next((one for part in value if (one := _not_plain(part, depth + 1))), None)
    return f"a {type(value).__name__} ({value}); write it as text"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of too many digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
