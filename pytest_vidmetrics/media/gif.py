"""Whether the blocks of a GIF follow each other up to its trailer, and how many pictures they are (GIF89a)."""

from __future__ import annotations

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


def read_pictures(data: bytes) -> tuple[str | None, int]:
    """Return what is wrong with a GIF, if anything is, and how many pictures a whole one holds."""
    try:
        return None, _pictures(data)
    except _DamagedError as error:
        return str(error), 0


def _pictures(data: bytes) -> int:
    cut = _DamagedError("the file is truncated: the GIF ends before its trailer")
    if len(data) < 13:
        raise cut
    at = 13 + _palette(data[10])
    count = 0
    while kind := data[at : at + 1]:
        if kind == _TRAILER:
            rest = data[at + 1 :]
            if rest.strip(_PADDING) and (_PICTURE in rest or _EXTENSION in rest):
                raise _DamagedError(f"the GIF is damaged: {len(rest)} bytes follow its trailer at byte {at}")
            return count
        if kind == _PICTURE:
            at = _picture(data, at)
            count += 1
        elif kind == _EXTENSION:
            at = _extension(data, at)
        else:
            raise _DamagedError(f"the GIF is damaged: unknown block {kind[0]:#04x} at byte {at}")
    raise cut


def _picture(data: bytes, where: int) -> int:
    """Check the picture whose block begins at a byte, and return where it ends."""
    head = data[where + 1 : where + 10]
    if len(head) < 9:
        raise _DamagedError("the file is truncated: the GIF ends before its trailer")
    if not int.from_bytes(head[4:6], "little") or not int.from_bytes(head[6:8], "little"):
        raise _DamagedError(f"the GIF is damaged: an empty picture at byte {where}")
    start = where + 10 + _palette(head[8])
    bits = data[start : start + 1]
    if bits and not 1 <= bits[0] <= 11:
        raise _DamagedError(f"the GIF is damaged: codes of {bits[0]} bits at byte {start}")
    start += len(bits)
    lengths, end = _blocks(data, start)
    if not lengths:
        raise _DamagedError(f"the GIF is damaged: the picture at byte {where} has no data")
    if lengths[-1] > lengths[0] or lengths[:-1].count(lengths[0]) < len(lengths) - 1:
        # Encoders fill their blocks. Where they did not, a length may be wrong and a picture lie inside another.
        codes = _joined(data, start, lengths)
        if (unused := len(codes) - _codes_end(codes, bits[0])) > _SPARE:
            raise _DamagedError(f"the GIF is damaged: {unused} bytes follow the codes of the picture at byte {where}")
    return end


def _extension(data: bytes, where: int) -> int:
    """Check the extension whose block begins at a byte, and return where it ends."""
    label = data[where + 1 : where + 2]
    if label and label[0] not in _LABELS:
        raise _DamagedError(f"the GIF is damaged: unknown extension {label[0]:#04x} at byte {where}")
    lengths, end = _blocks(data, where + 1 + len(label))
    if (
        label
        and lengths
        and (lengths[0] != _SIZES.get(label[0], lengths[0]) or (label[0] == _CONTROL and len(lengths) > 1))
    ):
        raise _DamagedError(f"the GIF is damaged: an extension of {sum(lengths)} bytes at byte {where}")
    return end


def _blocks(data: bytes, at: int) -> tuple[list[int], int]:
    """Return the lengths of the blocks of a picture or an extension, and where the next part begins."""
    lengths = []
    size = len(data)
    while at < size and (length := data[at]):
        lengths.append(length)
        at += length + 1
    return lengths, at + 1


def _joined(data: bytes, at: int, lengths: list[int]) -> bytes:
    """Return the data of a picture without the lengths of its blocks."""
    parts = []
    for length in lengths:
        parts.append(data[at + 1 : at + 1 + length])
        at += length + 1
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


def _palette(flags: int) -> int:
    """Return how many bytes a palette takes."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
