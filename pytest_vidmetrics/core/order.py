"""The one order in which clips and frames are taken: that of a person who counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from sys import intern
from typing import TypeVar

_SHORT = 18
"""Digits of a whole number that is compared as such: one of thousands is not made an ``int``."""
T = TypeVar("T")
Key = tuple[int | Decimal | str, ...]

_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_SIGN = re.compile(r"[+-]$")
_BARE = re.compile(r"(?:^|[_=(\[{:,@~ ])[+-]$")
"""A sign that stands where a value begins, so that it separates nothing."""


def in_order(items: Iterable[T], name: Callable[[T], str] = str) -> list[T]:
    """Return the items in the natural order of their names: ``frame2`` before ``frame10``, ``t0.25`` before ``t0.5``.

    ``-`` and ``+`` are signs where a value begins (``x=-1``, ``-1``), and where other names have the same text with
    another sign or none (``t-1``, ``t0``, ``t+1``); otherwise they separate (``clip-1``, ``clip-2``).
    Three numbers joined by points are a version, not a fraction. Capitals do not matter, ties are settled by the
    text.
    """
    listed = list(items)
    heads: dict[str, set[str]] = {}
    for item in listed:
        for text, sign in _heads(name(item)):
            heads.setdefault(text, set()).add(sign)
    signed = frozenset(text for text, signs in heads.items() if len(signs) > 1)
    return sorted(listed, key=lambda item: natural_key(name(item), signed))


def natural_key(name: str, signed: frozenset[str] = frozenset()) -> Key:
    """Return the sort key of one name; ``signed`` are the texts after which ``-`` and ``+`` are signs.

    Each part is a 0 and a text or a 1 and a number, so that what stands at one place is of one kind.
    """
    parts: list[int | Decimal | str] = []
    end = 0
    for match in _NUMBER.finditer(name):
        text, sign = _split(name, end, match.start(), signed)
        parts += 0, intern(text.casefold())
        digits = match.group()
        numbers: list[int | Decimal]
        if "." not in digits and len(digits) <= _SHORT:
            numbers = [int(digits)]
        else:
            pieces = digits.split(".")
            numbers = [Decimal(piece) for piece in ([digits] if len(pieces) == 2 else pieces)]
        for number in numbers:
            parts += 1, -number if sign == "-" else number
        end = match.end()
    return (*parts, 0, intern(name[end:].casefold()), 0, name)


def _split(name: str, start: int, end: int, signed: frozenset[str]) -> tuple[str, str]:
    """Return the text before a number, and its sign where it has one."""
    text = name[start:end]
    if not _SIGN.search(text):
        return text, ""
    bare = _BARE.search(name[:end]) is not None
    return (text[:-1], text[-1]) if bare or name[: end - 1].casefold() in signed else (text, "")


def _heads(name: str) -> Iterable[tuple[str, str]]:
    """Yield what stands before each number of a name: the text without a sign, and the sign."""
    for match in _NUMBER.finditer(name):
        head = name[: match.start()].casefold()
        yield (head[:-1], head[-1]) if _SIGN.search(head) else (head, "")
