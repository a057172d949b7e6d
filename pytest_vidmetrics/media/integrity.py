"""Whether a file holds all the bytes that its container promises.

A demuxer reads a cut file without complaint and yields fewer frames. The sizes in the headers of the three
container families show it exactly: MP4/MOV boxes, the Matroska/WebM segment, and RIFF (AVI, WAV).
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx"}


def missing_bytes(path: Path) -> str | None:
    """Return what is missing from a cut file, or ``None`` for a whole file or a container without sizes."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        stream.seek(0)
        if head[4:8] in _BOXES:
            return _boxes(stream, size)
        if head[:4] == _EBML:
            return _matroska(stream, size)
        if head[:4] == b"RIFF":
            return _short(8 + int.from_bytes(head[4:8], "little"), size)
    return None


def _short(promised: int, size: int) -> str | None:
    # Encoders that could not seek back leave 0 or a huge number; one byte may be padding.
    if promised >= 0x7FFFFFFF > size or promised <= 8 or promised <= size + 1:
        return None
    return f"the file is truncated: its header promises {promised} bytes and it has {size}"


def _boxes(stream: BinaryIO, size: int) -> str | None:
    position, names = 0, set()
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - position
        names.add(name)
        if length < 8:
            break
        if position + length > size and name in _BOXES:
            label = name.decode("ascii")
            return f"the file is truncated: box {label!r} ends at byte {position + length} of {size}"
        position += length
    if b"moov" not in names:
        return "the file is truncated: it has no 'moov' box (the frame table)"
    return None


def _matroska(stream: BinaryIO, size: int) -> str | None:
    stream.seek(4)
    header = _vint(stream)
    if header is None:
        return None
    stream.seek(header, 1)
    if stream.read(4) != _SEGMENT:
        return None
    length = _vint(stream)
    return None if length is None else _short(stream.tell() + length, size)


def _vint(stream: BinaryIO) -> int | None:
    """Read an EBML variable-length size; ``None`` when it is unknown or cut."""
    first = stream.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    rest = stream.read(width - 1)
    value = int.from_bytes(first + rest, "big") & ((1 << (7 * width)) - 1)
    return None if len(rest) < width - 1 or value == (1 << (7 * width)) - 1 else value
