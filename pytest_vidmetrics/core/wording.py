"""Text for people: numbers, tables, names from outside that may hold anything. Every table of the product is here."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

# Marks that turn the direction of writing: text could show another name than it holds.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_LONGEST = 80
WIDTH = 80
"""Columns that tables fit into, where no terminal says that it has more."""
_NAME = 28
"""Names up to this length stand in the row of their numbers, where the table is too wide for longer ones."""


def printable(text: str, keep: str = "\n") -> str:
    r"""Return ``text`` with everything escaped that a terminal would obey instead of show.

    Control characters other than ``keep``, escape sequences, marks of direction, line separators and what is not
    Unicode (bytes of file names that are not UTF-8) become ``\x1b`` and its like.
    """
    # Nearly every text.
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
    return shortened(printable(text, keep=""), limit)


def shortened(text: str, limit: int = _LONGEST) -> str:
    """Return a text of unknown length as a message may hold it."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def number(value: float | None, digits: int = 5) -> str:
    """Return a score as texts and tables show it."""
    return "-" if value is None else f"{value + 0.0:.{digits}g}"  # + 0.0 turns a negative zero into zero


def interval(ends: tuple[float, float] | None, digits: int = 5) -> str:
    """Return an interval as tables show it."""
    return "-" if ends is None else f"[{number(ends[0], digits)}, {number(ends[1], digits)}]"


def share(part: float | None, whole: float | None) -> str:
    """Return how much ``part`` is of ``whole`` in percent, with its sign; nothing where that means nothing."""
    if part is None or not whole or not math.isfinite(part / whole):
        return ""
    percent = 100 * part / abs(whole)
    if abs(percent) < 0.00005:
        return "0%"
    # Two digits that mean something.
    places = max(0, 1 - math.floor(math.log10(abs(percent))))
    text = f"{percent:+.{min(places, 4)}f}%"
    return text if len(text) <= 10 else f"{percent:+.1e}%"


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


def fitted(
    rows: Sequence[Sequence[str]], spare: Sequence[str] = (), right: Collection[str] = (), width: int = WIDTH
) -> list[str]:
    """Return a table that fits a width: one text for each row, of two lines where a name has a line of its own.

    Long names of the first column stand above their rows; then columns of ``spare`` are left out, in this order, until
    the rest fits. Columns of ``right`` are aligned at their ends. Columns are named by the first row.
    """
    clean = [[printable(cell, keep="") for cell in row] for row in rows]
    longest = max(len(row[0]) for row in clean)
    # First as it is, then with long names apart, then without the columns that may go.
    for name in ("", "", *spare):
        if name in clean[0]:
            gone = clean[0].index(name)
            clean = [row[:gone] + row[gone + 1 :] for row in clean]
        widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
        widths[0] = max(len(row[0]) for row in clean if len(row[0]) <= longest)
        # Two spaces between columns.
        room = width - sum(widths[1:]) - 2 * (len(widths) - 1)
        if widths[0] <= room:
            break
        longest = max(_NAME, len(clean[0][0]))
    longest = min(longest, max(room, len(clean[0][0])))
    widths[0] = max(len(row[0]) for row in clean if len(row[0]) <= longest)
    ends = [name in right for name in clean[0]]
    lines = []
    for row in clean:
        above = f"{row[0]}\n" if len(row[0]) > longest else ""
        cells = ["" if above else row[0], *row[1:]]
        padded = [
            cell.rjust(size) if end else cell.ljust(size) for cell, size, end in zip(cells, widths, ends, strict=True)
        ]
        lines.append(above + "  ".join(padded).rstrip())
    return lines
