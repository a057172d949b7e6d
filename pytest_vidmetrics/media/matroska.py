"""Whether the elements of a Matroska or WebM file fit into each other (RFC 8794, RFC 9559).

A demuxer that meets a damaged element goes on with the next one that it knows: the frames in between are lost
without an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

EBML = 0x1A45DFA3
SEGMENT = 0x18538067
_TRACKS, _TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE = 0x1654AE6B, 0xAE, 0xD7, 0x83
_VIDEO = 1
_CLUSTER, _GROUP, _SIMPLE_BLOCK, _BLOCK = 0x1F43B675, 0xA0, 0xA3, 0xA1
_FRAMES = {_GROUP, _SIMPLE_BLOCK}
_ANYWHERE = {0xEC, 0xBF}
"""Void and CRC-32."""
_PARTS = {
    SEGMENT: _ANYWHERE | {0x114D9B74, 0x1549A966, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367},
    _CLUSTER: _ANYWHERE | {0xE7, 0x5854, 0xA7, 0xAB, _SIMPLE_BLOCK, _GROUP, 0xAF},
    _GROUP: _ANYWHERE | {_BLOCK, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8},
}
"""Which elements may stand in those that lead to the frames; all other elements are skipped whole."""
_ONCE = {_CLUSTER: {0xE7, 0xA7, 0xAB}, _GROUP: {_BLOCK}}
"""Of these there is one at most, and in a cluster it comes before the frames."""


class _DamagedError(Exception):
    """The byte where an element should start or end and does not."""


@dataclass
class _Contents:
    """The type of each track in the order of the file, and how many blocks it has."""

    tracks: dict[int, int] = field(default_factory=dict)
    blocks: Counter[int] = field(default_factory=Counter)


def read_blocks(stream: BinaryIO, size: int) -> tuple[str | None, list[int]]:
    """Return where the first damaged element of a file of ``size`` bytes is, if one is, and the blocks of its videos.

    These are how many blocks each video track of a whole file has.
    """
    try:
        contents = _read(stream, size)
    except _DamagedError as error:
        return f"the file is truncated or damaged: no whole Matroska element at byte {error}", []
    return None, [contents.blocks[track] for track, kind in contents.tracks.items() if kind == _VIDEO]


def _read(stream: BinaryIO, size: int) -> _Contents:
    contents = _Contents()
    stream.seek(0)
    header = element(stream.read(12))
    if header is None or header[1] is None:
        return contents
    start = header[1] + header[2]
    stream.seek(start)
    segment = element(stream.read(12))
    if segment is None or segment[0] != SEGMENT:
        return contents
    body = start + segment[2]
    end = size if segment[1] is None else min(size, body + segment[1])
    _walk(stream, body, end, SEGMENT, contents, sized=segment[1] is not None)
    return contents


def element(head: bytes) -> tuple[int, int | None, int] | None:
    """Return number, size (``None``: not known) and header length of the element that starts with ``head``."""
    # An id has at most four bytes, so that one of its first four bits is set.
    if not head or head[0] < 0x10:
        return None
    # As many zeros lead as bytes follow.
    width = 9 - head[0].bit_length()
    number = int.from_bytes(head[:width], "big")
    size = vint(head[width:])
    return None if size is None else (number, size[0], width + size[1])


def vint(data: bytes) -> tuple[int | None, int] | None:
    """Return the value (``None``: all ones, not known) and the width of the number that ``data`` starts with."""
    if not data or data[0] == 0:
        return None
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return None
    ones = (1 << (7 * width)) - 1
    value = int.from_bytes(data[:width], "big") & ones
    return None if value == ones else value, width


def _walk(stream: BinaryIO, position: int, end: int, parent: int, contents: _Contents, *, sized: bool) -> int:
    """Check the children of an element; return where they end. One without a size ends where its parent goes on."""
    seen: set[int] = set()
    while position < end:
        stream.seek(position)
        found = element(stream.read(12))
        if found is None:
            raise _DamagedError(position)
        number, size, header = found
        if not sized and (number == EBML or (parent == _CLUSTER and number in _PARTS[SEGMENT] - _ANYWHERE)):
            return position
        stop = end if size is None else position + header + size
        # Of the elements inside a segment only clusters may leave their size open.
        if number not in _PARTS[parent] or stop > end or (size is None and number != _CLUSTER):
            raise _DamagedError(position)
        if number in _ONCE.get(parent, ()) and (number in seen or (parent == _CLUSTER and seen & _FRAMES)):
            raise _DamagedError(position)
        seen.add(number)
        if number == _TRACKS:
            stream.seek(position + header)
            contents.tracks |= _tracks(stream.read(stop - position - header))
        if number in (_SIMPLE_BLOCK, _BLOCK):
            stream.seek(position + header)
            track = vint(stream.read(8))
            if track is None or track[0] not in contents.tracks:
                raise _DamagedError(position)
            contents.blocks[track[0]] += 1
        if number in _PARTS:
            stop = _walk(stream, position + header, stop, number, contents, sized=size is not None)
        position = stop
    # A group without its block shows nothing: it was lost.
    if parent == _GROUP and _BLOCK not in seen:
        raise _DamagedError(position)
    return position


def _tracks(data: bytes) -> dict[int, int]:
    """Return ``{number: type}`` of the tracks from the body of the element that lists them."""
    entries = [dict(_children(body)) for number, body in _children(data) if number == _TRACK_ENTRY]
    return {_whole(entry.get(_TRACK_NUMBER)): _whole(entry.get(_TRACK_TYPE)) for entry in entries}


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while (found := element(data[position : position + 12])) is not None and found[1] is not None:
        start = position + found[2]
        position = start + found[1]
        yield found[0], data[start:position]


def _whole(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "big")
