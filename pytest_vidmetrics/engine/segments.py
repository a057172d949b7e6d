"""Segments: objects of many entries, and where each entry of the segments of a store lies.

A segment is ``VMSEG1``, the length of its index (8 bytes, little-endian), the index (JSON: name to offset and length),
the sha256 of the index, then the entries one after the other. A reader takes the index without the entries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_vidmetrics.engine.names import Names, short_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"VMSEG1"
HEAD = len(MAGIC) + 8
_MANY = 1 << 17
"""How many entries are kept as objects, some 300 bytes each; the others are in columns of 64 bytes."""


def sealed(entries: Mapping[str, bytes]) -> bytes:
    """Return a segment of entries, ``kind/name`` to bytes, the same for the same entries in any order."""
    index, parts, at = {}, [], 0
    for name in sorted(entries):
        index[name] = [at, len(entries[name])]
        parts.append(entries[name])
        at += len(entries[name])
    text = json.dumps(index, separators=(",", ":")).encode()
    head = MAGIC + len(text).to_bytes(8, "little")
    return b"".join([head, text, hashlib.sha256(text).digest(), *parts])


def end_of_index(head: bytes) -> int:
    """Return where the index of a segment ends, from its first bytes; 0 for an object of another kind."""
    if len(head) < HEAD or not head.startswith(MAGIC):
        return 0
    return HEAD + int.from_bytes(head[len(MAGIC) : HEAD], "little") + 32


def entries_of(data: bytes) -> dict[str, tuple[int, int]]:
    """Return where each entry of a segment starts and how long it is; nothing for a torn or foreign object.

    ``data`` is a segment, or as much of it as its index.
    """
    base = end_of_index(data)
    text, checksum = data[HEAD : base - 32], data[base - 32 : base]
    if not base or hashlib.sha256(text).digest() != checksum:
        return {}
    return {name: (base + start, length) for name, (start, length) in json.loads(text).items()}


class Place(NamedTuple):
    """Where an entry lies: the name of its segment, its first byte and its length there."""

    segment: str
    start: int
    length: int


class SegmentIndex:
    """The entries of the segments that were added. Of equal entries, the first one counts."""

    def __init__(self) -> None:
        self._segments: list[str] = []
        self._new: dict[bytes, tuple[int, int, int]] = {}
        self._data = b""
        self._names: Names | None = None
        self._places: NDArray[Any] | None = None

    def add(self, segment: str, entries: Mapping[str, tuple[int, int]]) -> None:
        """Add what a segment holds."""
        number = len(self._segments)
        self._segments.append(segment)
        for name, (start, length) in entries.items():
            self._new.setdefault(short_name(name), (number, start, length))
        if len(self._new) > _MANY:
            self._settle()

    def find(self, name: str) -> Place | None:
        """Return where an entry lies, or ``None``."""
        short = short_name(name)
        found = self._new.get(short)
        if self._names is not None and self._places is not None:
            at = int(self._names.find([short])[0][0])
            found = found if at < 0 else self._places[at].tolist()
        return None if found is None else Place(self._segments[found[0]], found[1], found[2])

    def find_all(self, names: Iterable[str]) -> Iterator[tuple[int, Place]]:
        """Yield the numbers and the places of those entries that are there, segment by segment."""
        import numpy as np

        self._settle()
        if self._names is None or self._places is None:
            return
        at, _ = self._names.find(map(short_name, names))
        there = np.flatnonzero(at >= 0)
        places = self._places[at[there]]
        for i in np.lexsort((places[:, 1], places[:, 0])):
            segment, start, length = places[i].tolist()
            yield int(there[i]), Place(self._segments[segment], start, length)

    def _settle(self) -> None:
        """Put the new entries into columns."""
        if not self._new:
            return
        import numpy as np

        self._data += b"".join(self._new)
        places = np.array(list(self._new.values()), dtype=np.int64)
        self._places = places if self._places is None else np.concatenate([self._places, places])
        self._names, self._new = Names(self._data), {}
