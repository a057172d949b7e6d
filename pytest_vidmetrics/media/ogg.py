"""Whether an Ogg file has all its pages: they are numbered, and the last one of each stream says so (RFC 3533)."""

from __future__ import annotations

from typing import BinaryIO

_CONTINUED, _FIRST, _LAST = 0x01, 0x02, 0x04
_HEADER = 27


def damage(stream: BinaryIO, size: int) -> str | None:
    """Return what is wrong with a file of ``size`` bytes, or nothing."""
    stream.seek(0)
    position = 0
    numbers: dict[int, int] = {}
    while position < size:
        stream.seek(position)
        head = stream.read(_HEADER)
        if head[:4] != b"OggS":
            rest = head + stream.read(size)
            # Zeros after the last page are padding.
            if not rest.strip(b"\0") and not numbers:
                return None
            return f"the file is truncated or damaged: no Ogg page at byte {position}"
        # One byte for each segment, 255 at most.
        lengths = stream.read(head[26]) if len(head) == _HEADER else b""
        end = position + _HEADER + len(lengths) + sum(lengths)
        if len(head) < _HEADER or len(lengths) < head[26] or end > size:
            return f"the file is truncated: the page at byte {position} is cut"
        kind, serial, number = head[5], int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
        if not kind & _FIRST and serial not in numbers:
            return f"the file is damaged: the page at byte {position} is of no stream that began"
        if kind & _FIRST and serial in numbers:
            return f"the file is damaged: a stream begins twice, at byte {position} again"
        if not kind & _FIRST and number != numbers[serial] + 1:
            return f"the file is damaged: a page is missing before byte {position}"
        numbers[serial] = number
        if kind & _LAST:
            del numbers[serial]
        position = end
    if numbers:
        return "the file is truncated: its last page is not marked as the last one"
    return None
