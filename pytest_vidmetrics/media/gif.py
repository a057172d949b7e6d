"""Whether the blocks of a GIF follow each other up to its trailer, and how many pictures they are (GIF89a)."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_PICTURE, _EXTENSION, _TRAILER = b"\x2c", b"\x21", b"\x3b"
_CONTROL = 0xF9
_LABELS = frozenset({0x01, _CONTROL, 0xFE, 0xFF})
_SIZES = {_CONTROL: 4, 0xFF: 11, 0x01: 12}
"""How long the first part of an extension is, by its label."""
_SPARE = 2
"""Bytes that may follow the last code of a picture."""
_PADDING = b"\x00\r\n \x1a\xff"


class _DamagedError(Exception):
    """What is wrong."""


def damage(stream: BinaryIO, size: int) -> str | None:
    """Return what is wrong with a GIF, or nothing."""
    try:
        _pictures(stream, size)
    except _DamagedError as error:
        return str(error)
    return None


def picture_count(path: Path) -> int:
    """Return how many pictures a whole GIF holds."""
    with path.open("rb") as stream:
        return _pictures(stream, path.stat().st_size)


def _pictures(stream: BinaryIO, size: int) -> int:
    cut = _DamagedError("the file is truncated: the GIF ends before its trailer")
    stream.seek(0)
    header = stream.read(13)
    if len(header) < 13:
        raise cut
    _skip_palette(stream, header[10])
    count = 0
    while kind := stream.read(1):
        where = stream.tell() - 1
        if kind == _TRAILER:
            # Bytes behind the trailer are harmless, unless they could be pictures that a damaged block cut off.
            rest = stream.read(size)
            if rest.strip(_PADDING) and (_PICTURE in rest or _EXTENSION in rest):
                raise _DamagedError(f"the GIF is damaged: {len(rest)} bytes follow its trailer at byte {where}")
            return count
        if kind == _PICTURE:
            _picture(stream, where)
            count += 1
        elif kind == _EXTENSION:
            _extension(stream, where)
        else:
            raise _DamagedError(f"the GIF is damaged: unknown block {kind[0]:#04x} at byte {where}")
    raise cut


def _picture(stream: BinaryIO, where: int) -> None:
    head = stream.read(9)
    if len(head) < 9:
        raise _DamagedError("the file is truncated: the GIF ends before its trailer")
    if not int.from_bytes(head[4:6], "little") or not int.from_bytes(head[6:8], "little"):
        raise _DamagedError(f"the GIF is damaged: an empty picture at byte {where}")
    _skip_palette(stream, head[8])
    bits = stream.read(1)
    if bits and not 1 <= bits[0] <= 11:
        raise _DamagedError(f"the GIF is damaged: codes of {bits[0]} bits at byte {stream.tell() - 1}")
    start = stream.tell()
    lengths = _blocks(stream)
    if not lengths:
        raise _DamagedError(f"the GIF is damaged: the picture at byte {where} has no data")
    if any(length != lengths[0] for length in lengths[:-1]) or lengths[-1] > lengths[0]:
        # Encoders fill their blocks. Where they did not, a length may be wrong and a picture lie inside another.
        data = _joined(stream, start, lengths)
        if (unused := len(data) - _codes_end(data, bits[0])) > _SPARE:
            raise _DamagedError(f"the GIF is damaged: {unused} bytes follow the codes of the picture at byte {where}")


def _extension(stream: BinaryIO, where: int) -> None:
    label = stream.read(1)
    if label and label[0] not in _LABELS:
        raise _DamagedError(f"the GIF is damaged: unknown extension {label[0]:#04x} at byte {where}")
    lengths = _blocks(stream)
    if not label or not lengths:
        return
    # Only a comment may be of any length.
    if lengths[0] != _SIZES.get(label[0], lengths[0]) or (label[0] == _CONTROL and len(lengths) > 1):
        raise _DamagedError(f"the GIF is damaged: an extension of {sum(lengths)} bytes at byte {where}")


def _blocks(stream: BinaryIO) -> list[int]:
    """Skip the blocks of a picture or an extension, and return their lengths."""
    lengths = []
    while (length := stream.read(1)) not in (b"\x00", b""):
        # Seek, not read: the data of pictures is not looked at here.
        stream.seek(length[0], 1)
        lengths.append(length[0])
    return lengths


def _joined(stream: BinaryIO, start: int, lengths: list[int]) -> bytes:
    """Return the data of a picture without the lengths of its blocks."""
    end = stream.tell()
    stream.seek(start)
    parts = [stream.read(length + 1)[1:] for length in lengths]
    stream.seek(end)
    return b"".join(parts)


def _codes_end(data: bytes, bits: int) -> int:
    """Return after how many bytes the codes of a picture end; all of them where they have no end."""
    clear, width = 1 << bits, bits + 1
    # Known: the codes 2**bits and the one after it are clear and end.
    known = clear + 2
    position, fresh = 0, True
    while position + width <= 8 * len(data):
        code = _code(data, position, width)
        position += width
        if code == clear + 1:
            break
        if code == clear:
            width, known, fresh = bits + 1, clear + 2, True
        # The first code after a clear adds no entry to the table.
        elif fresh:
            fresh = False
        # A full table stays as it is until the next clear.
        elif known < 4096:
            known += 1
            # Codes grow by a bit when the next entry no longer fits, to 12 at most.
            width += known == 1 << width and width < 12
    return (position + 7) // 8


def _code(data: bytes, position: int, width: int) -> int:
    # A code of up to 12 bits lies in three bytes at most.
    part = int.from_bytes(data[position >> 3 : (position >> 3) + 3], "little")
    return part >> (position & 7) & ((1 << width) - 1)


def _skip_palette(stream: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        # A palette has 2**(n+1) colours of three bytes.
        stream.seek(3 << ((flags & 7) + 1), 1)
