"""Whether a file holds all the bytes that its container promises.

A demuxer reads a cut file without complaint and yields fewer frames. The sizes in the headers of four container
families show it exactly: MP4/MOV boxes, the Matroska/WebM segment, RIFF (AVI, WAV), and the blocks of a GIF.
Streams without such sizes (MPEG-TS, MP3, raw video) cut between two frames, and a fragmented MP4 cut between two
fragments, look whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"mfra"}


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
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return _gif(stream)
    return None


def _short(promised: int, size: int) -> str | None:
    # Encoders that could not seek back leave 0 or a huge number; one byte may be padding.
    if promised >= 0x7FFFFFFF > size or promised <= 8 or promised <= size + 1:
        return None
    return f"the file is truncated: its header promises {promised} bytes and it has {size}"


def _boxes(stream: BinaryIO, size: int) -> str | None:
    position, names = 0, [b""]
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - position
        if length < 8:
            break
        names.append(name)
        if position + length > size and name in _BOXES:
            label = name.decode("ascii")
            return f"the file is truncated: box {label!r} ends at byte {position + length} of {size}"
        position += length
    if b"moov" not in names:
        return "the file is truncated: it has no 'moov' box (the frame table)"
    # A fragment's table comes before its data. Other files may end in a few bytes of padding.
    if names[-1] == b"moof" or (b"moof" in names and position < size < position + 8):
        return f"the file is truncated: the data of its last fragment is missing at byte {position}"
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


def _gif(stream: BinaryIO) -> str | None:
    """Walk the blocks up to the trailer."""
    cut = "the file is truncated: the GIF ends before its trailer"
    header = stream.read(13)
    if len(header) < 13:
        return cut
    _skip_palette(stream, header[10])
    while kind := stream.read(1):
        if kind == b"\x3b":
            return None
        if kind == b"\x2c":
            descriptor = stream.read(9)
            _skip_palette(stream, descriptor[8] if len(descriptor) == 9 else 0)
        elif kind != b"\x21":
            return f"the GIF is damaged: unknown block {kind[0]:#04x} at byte {stream.tell() - 1}"
        # The LZW code size of a picture, or the label of an extension.
        stream.seek(1, 1)
        while (length := stream.read(1)) not in (b"\x00", b""):
            stream.seek(length[0], 1)
    return cut


def _skip_palette(stream: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        stream.seek(3 << ((flags & 7) + 1), 1)
