"""Names that become parts of paths: manifests, cases, gates, cohorts, checks."""

from __future__ import annotations

import re

from pytest_vidmetrics.core.wording import printable

LONGEST = 180
"""Bytes of a case, gate, check or manifest. File systems hold 255: a cohort, a suffix and a temporary file's own
letters are added."""
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{word}{digit}" for word in ("com", "lpt") for digit in "0123456789")]
)


def word_fault(name: str) -> str:
    """Return why ``name`` cannot name a case, a gate or a metric, as a sentence; empty when it can."""
    if not _WORD.fullmatch(name):
        return "a name may hold letters, digits, '.', '_' and '-' only"
    if name.casefold().endswith(".json"):
        return "a name must not end in '.json': the file of a baseline would look like a folder"
    return name_fault(name, LONGEST)


def name_fault(name: str, longest: int = 255) -> str:
    """Return why ``name`` cannot be the name of a file or folder, as a sentence; empty when it can.

    Judged for every common system at once, since baselines are committed on one and read on another.
    """
    if not name.strip():
        return "a name must not be empty"
    if name in (".", ".."):
        return f"{name!r} is a part of a path, not a name"
    if "/" in name or "\\" in name or "\x00" in name:
        return "a name must not hold '/', '\\' or NUL"
    if name != printable(name, keep=""):
        return "a name must not hold control characters or bytes that are not UTF-8"
    if name[-1] in ". ":
        return "a name must not end in a dot or a space: some systems drop it"
    # Reserved with any suffix.
    if name.partition(".")[0].casefold() in _RESERVED:
        return "some systems reserve this name for a device"
    if len(name.encode()) > longest:
        return f"a name may have {longest} bytes at most, this one has {len(name.encode())}"
    return ""
