"""Text for people: numbers, tables, names from outside that may hold anything. Every table of the product is here."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

# Marks that turn the direction of writing: text could show another name than it holds.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_LONGEST = 80


def printable(text: str, keep: str = "\n") -> str:
    r"""Return ``text`` with everything escaped that a terminal would obey instead of show.

    Control characters other than ``keep``, escape sequences, marks of direction, line separators and what is not
    Unicode (bytes of file names that are not UTF-8) become ``\x1b`` and its like.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign in keep or not _obeyed(sign) else _escape(sign) for sign in text)


def _obeyed(sign: str) -> bool:
    return sign in _TURNING or unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")


def _escape(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def encodable(text: str) -> str:
    """Return ``text`` with what UTF-8 has no form for escaped: bytes of file names that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return str(text)


def shown(value: Any, limit: int = _LONGEST) -> str:
    """Return a value of unknown origin as a message may show it: on one line, not too long, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # a number of ten thousand digits, a list that is nested too deeply, a repr that raises
        text = f"a {type(value).__name__}"
    text = printable(text, keep="")
    return text if len(text) <= limit else text[: limit - 3] + "..."


def number(value: float | None) -> str:
    """Return a score as tables show it."""
    return "-" if value is None else f"{value + 0.0:.6g}"  # + 0.0 turns a negative zero into zero


def interval(ends: tuple[float, float] | None) -> str:
    """Return an interval as tables show it."""
    return "-" if ends is None else f"[{number(ends[0])}, {number(ends[1])}]"


def size(count: int | None) -> str:
    """Return a number of bytes for people; ``?`` when it is not known."""
    if count is None:
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def counted(count: int, noun: str) -> str:
    """Return ``"1 gate"`` or ``"2 gates"``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some(names: Sequence[str], limit: int = 5) -> str:
    """Return the first names of a list and how many more there are."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def table(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Return aligned lines: the first row is the header, the last column is not padded."""
    clean = [[printable(cell, keep="") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(len(clean[0]))]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean
    ]
