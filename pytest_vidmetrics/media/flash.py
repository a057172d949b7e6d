"""Whether the tags of an FLV file follow each other: each is followed by its own length (Adobe's video file format)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_SOUND, _PICTURE, _SCRIPT = 8, 9, 18
_TAG = 11
_NUMBERED = frozenset({7, 12, 13})
"""Codecs whose tags say in their second byte what they are: 1 is a frame."""


class _Tag(NamedTuple):
    kind: int
    head: bytes


class _DamagedError(Exception):
    """What is wrong."""


def damage(stream: BinaryIO, size: int) -> str | None:
    """Return what is wrong with a file of ``size`` bytes, or nothing."""
    try:
        # The codec's number, and the bit of enhanced headers.
        codecs = {tag.head[0] & 0x8F for tag in _tags(stream, size) if tag.kind == _PICTURE and tag.head}
    except _DamagedError as error:
        return str(error)
    return "the file is damaged: its pictures are of several codecs" if len(codecs) > 1 else None


def picture_count(stream: BinaryIO, size: int) -> int:
    """Return how many frames a whole file holds."""
    pictures = [tag.head for tag in _tags(stream, size) if tag.kind == _PICTURE and len(tag.head) > 1]
    # Frame type 5 is a command to the player.
    return sum(head[0] >> 4 != 5 and (head[0] & 0x0F not in _NUMBERED or head[1] == 1) for head in pictures)


def _tags(stream: BinaryIO, size: int) -> Iterator[_Tag]:
    stream.seek(5)
    # The header's length; behind it stands the length of the tag before the first, which is 0.
    position = int.from_bytes(stream.read(4), "big") + 4
    while position + _TAG <= size:
        stream.seek(position)
        head = stream.read(_TAG)
        kind, length = head[0] & 0x1F, int.from_bytes(head[1:4], "big")
        end = position + _TAG + length
        if kind not in (_SOUND, _PICTURE, _SCRIPT):
            raise _DamagedError(f"the file is damaged: no FLV tag at byte {position}")
        if end + 4 > size:
            raise _DamagedError(f"the file is truncated: the tag at byte {position} is cut")
        yield _Tag(kind, stream.read(min(length, 2)))
        stream.seek(end)
        # Some writers leave this length 0.
        if int.from_bytes(stream.read(4), "big") not in (_TAG + length, 0):
            raise _DamagedError(f"the file is damaged: the tag at byte {position} is not as long as it says")
        position = end + 4
    if size - position > 0:
        raise _DamagedError(f"the file is truncated: {size - position} bytes follow its last tag")
