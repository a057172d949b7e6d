"""Whether an MP3 file holds as many bytes as its encoder counted: the Xing, Info or VBRI header of the first frame."""

from __future__ import annotations

from typing import BinaryIO

_SYNC = 0xFFE0
_LOOK = 4096
_MONO = 3
_SLACK = 2048
"""Bytes that may be missing: some encoders count a tag or the header's own frame too."""


def is_mp3(head: bytes) -> bool:
    """Whether a file that starts with ``head`` may be an MP3: a tag, or a frame of layer III."""
    if head[:3] == b"ID3":
        return True
    return len(head) > 3 and int.from_bytes(head[:2], "big") & _SYNC == _SYNC and head[1] & 0x06 == 0x02


def damage(stream: BinaryIO, size: int) -> str | None:
    """Return what is wrong with a file of ``size`` bytes, or nothing; without a header nothing can be said."""
    stream.seek(0)
    tag = stream.read(10)
    start = 0
    if tag[:3] == b"ID3" and len(tag) == 10:
        # Four bytes of seven bits each, so that no byte of a tag looks like a frame.
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
        # A footer repeats the header.
        start += 10 * bool(tag[5] & 0x10)
    if start >= size:
        return f"the file is truncated: its tag ends at byte {start} of {size}" if start > size else None
    stream.seek(start)
    data = stream.read(_LOOK)
    # Padding may follow the tag.
    found = next((i for i in range(len(data) - 4) if is_mp3(data[i : i + 4]) and data[i : i + 3] != b"ID3"), None)
    promised = _promised(data[found:]) if found is not None else None
    if promised is None or found is None:
        return None
    held = size - start - found
    if held + _SLACK < promised:
        return f"the file is truncated: its header promises {promised} bytes of sound and it has {held}"
    return None


def _promised(frame: bytes) -> int | None:
    """Return how many bytes the header of the first frame counts, that frame included; ``None`` without one."""
    if len(frame) < 64:
        return None
    first_version, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == _MONO
    # Side information of layer III, which stands before the encoder's header.
    side = (17 if mono else 32) if first_version else (9 if mono else 17)
    tag = frame[4 + side : 4 + side + 16]
    if tag[:4] in (b"Xing", b"Info"):
        flags = int.from_bytes(tag[4:8], "big")
        # Flag 1: the number of frames stands first; flag 2: the number of bytes.
        place = 8 + 4 * (flags & 1)
        return int.from_bytes(tag[place : place + 4], "big") or None if flags & 2 else None
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[46:50], "big") or None
    return None
