"""Whether the fragments of an MP4 file are whole (ISO/IEC 14496-12).

A demuxer skips a fragment whose table it cannot read: its frames are lost without an error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_NAME = re.compile(rb"[A-Za-z0-9 ]{4}")
_LIMIT = 1 << 26
"""No table of a fragment is that large; reading one is bounded."""
_TOP = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"mfra", b"free", b"skip", b"wide", b"uuid"}
    | {b"emsg", b"prft", b"meta", b"pdin", b"udta", b"imda", b"ID32"}
)
_INSIDE = {
    b"moof": frozenset({b"mfhd", b"traf", b"meta", b"uuid", b"pssh", b"free", b"skip"}),
    b"traf": frozenset(
        {b"tfhd", b"tfdt", b"trun", b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio", b"senc", b"uuid", b"meta"}
        | {b"csgp", b"tfxd", b"tfrf", b"udta", b"free", b"skip"}
    ),
}
"""What may stand at the top of a file of fragments, and in the tables that lead to the frames."""
_EMPTY = 0x01
"""In the first byte of a track's flags: it pauses for this fragment."""


class Box(NamedTuple):
    """One box: its four letters and where it, its content and its end lie."""

    name: bytes
    start: int
    body: int
    end: int


class _DamagedError(Exception):
    """What is wrong with a fragment's table."""


def damage(stream: BinaryIO, boxes: list[Box], size: int) -> str | None:
    """Return what is wrong with the fragments of a file of ``size`` bytes; nothing for a file without fragments.

    ``boxes`` are the top-level ones, up to the first that cannot be one.
    """
    tracks = _declared(stream, boxes)
    if not tracks:
        return None
    # One more after the last, to notice bytes that are no box at all.
    for box in [*boxes, Box(b"", boxes[-1].end, 0, 0)]:
        if box.start + 8 <= size and (box.name not in _TOP or box.end > size):
            return f"the file is damaged: no MP4 box at byte {box.start}"
        if box.name == b"moof":
            try:
                _samples(_body(stream, box), tracks)
            except _DamagedError as error:
                return f"the file is damaged: the table of the fragment at byte {box.start}: {error}"
    return None


def sample_count(stream: BinaryIO, boxes: list[Box], track: int) -> int:
    """Return how many samples of one track the fragments hold; 0 for a file without fragments."""
    tracks = _declared(stream, boxes)
    tables = [_body(stream, box) for box in boxes if tracks and box.name == b"moof"]
    return sum(_samples(table, tracks)[track] for table in tables)


def _body(stream: BinaryIO, box: Box) -> bytes:
    stream.seek(box.body)
    return stream.read(min(box.end - box.body, _LIMIT))


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of the boxes that fill ``data``."""
    position = 0
    while position < len(data):
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if length < 8 or position + length > len(data) or not _NAME.fullmatch(name):
            raise _DamagedError("its boxes do not fit into each other")
        yield name, data[position + 8 : position + length]
        position += length


def _check_names(parts: list[tuple[bytes, bytes]], parent: bytes) -> None:
    for name, _ in parts:
        if name not in _INSIDE[parent]:
            raise _DamagedError(f"no box of {parent.decode()!r} is called {name.decode()!r}")


def _declared(stream: BinaryIO, boxes: list[Box]) -> set[int]:
    """Return the numbers of the tracks that come in fragments."""
    tracks = set[int]()
    for box in boxes:
        if box.name == b"moov":
            try:
                extends = [body for name, body in _parts(_body(stream, box)) if name == b"mvex"]
                defaults = [body for body in extends for name, body in _parts(body) if name == b"trex"]
            except _DamagedError:  # QuickTime ends some lists with zeros; such a file has no fragments
                return set()
            tracks |= {int.from_bytes(body[4:8], "big") for body in defaults}
    return tracks


def _samples(table: bytes, tracks: set[int]) -> Counter[int]:
    """Return how many samples of each track a fragment's table lists."""
    counts = Counter[int]()
    parts = list(_parts(table))
    if b"mfhd" not in dict(parts):
        raise _DamagedError("it has no number")
    for name, body in parts:
        if name == b"traf":
            runs = list(_parts(body))
            header = dict(runs).get(b"tfhd", b"")
            track = int.from_bytes(header[4:8], "big")
            if track not in tracks:
                raise _DamagedError("it is of no track that the file has")
            if b"trun" not in dict(runs) and not header[1] & _EMPTY:
                raise _DamagedError("it has no samples")
            _check_names(runs, b"traf")
            counts[track] += sum(_run_length(run) for kind, run in runs if kind == b"trun")
    _check_names(parts, b"moof")
    return counts


def _run_length(run: bytes) -> int:
    """Return how many samples a run has, which must be as many as it lists."""
    flags, count = int.from_bytes(run[1:4], "big"), int.from_bytes(run[4:8], "big")
    # The two optional fields that stand once: data offset and flags of the first frame.
    once = 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    # The four optional fields of each frame: duration, size, flags, time offset.
    each = 4 * (flags >> 8 & 0xF).bit_count()
    if len(run) != 8 + once + each * count:
        raise _DamagedError("it lists another number of frames than it says")
    return count
