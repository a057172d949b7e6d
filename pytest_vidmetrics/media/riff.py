"""The chunks of an AVI file: whether they follow each other without a gap, and how many a stream has.

A demuxer that meets a damaged chunk looks for the next one that it knows: the frames in between are lost without
an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pytest_vidmetrics.core.errors import MediaError

_CHUNK = re.compile(rb"[0-9A-Fa-f]{2}[A-Za-z_]{2}|ix[0-9]{2}|JUNK|junk|LIST|idx1")
_LISTS = (b"movi", b"rec ")


def damage(path: Path) -> str | None:
    """Return where the first damaged chunk of an AVI file is, or nothing."""
    try:
        chunk_counts(path, 0)
    except MediaError as error:
        return str(error)
    return None


def chunk_counts(path: Path, stream: int) -> tuple[int, int]:
    """Return how many chunks of pictures one stream has, and how many of them are not empty.

    An empty one shows the picture before once more.

    Raises :class:`MediaError` for a damaged chunk.
    """
    names = {b"%02d%s" % (stream, kind) for kind in (b"dc", b"db")}
    with path.open("rb") as file:
        sizes = [size for name, size in _parts(file, path.stat().st_size) if name in names]
    return len(sizes), sum(size > 0 for size in sizes)


def unknown_size(promised: int, size: int) -> bool:
    """Whether a size is what encoders leave that could not seek back: nothing, or a huge number."""
    return promised >= 0x7FFFFFFF > size or promised <= 8


def _parts(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the chunks of all parts of a file; a long one has several."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        head = file.read(12)
        end = position + 8 + int.from_bytes(head[4:8], "little")
        # A size that is not known says nothing of where the next part begins.
        if head[:4] != b"RIFF" or head[8:12] not in (b"AVI ", b"AVIX") or unknown_size(end - position, size):
            return
        yield from _chunks(file, position + 12, min(end, size), frames=False)
        # Chunks are padded to even bytes.
        position = end + end % 2


def _chunks(file: BinaryIO, position: int, end: int, *, frames: bool) -> Iterator[tuple[bytes, int]]:
    """Yield names and sizes of the chunks of a list; ``frames``: it holds frames, so that its names are known."""
    while position + 8 <= end:
        file.seek(position)
        head = file.read(12)
        name, stop = head[:4], position + 8 + int.from_bytes(head[4:8], "little")
        if stop > end or (frames and not _CHUNK.fullmatch(name)):
            raise MediaError(f"the file is truncated or damaged: no whole AVI chunk at byte {position}")
        # Lists of frames may nest (`rec `).
        if name == b"LIST" and head[8:12] in _LISTS:
            yield from _chunks(file, position + 12, stop, frames=True)
        elif frames:
            yield name, stop - position - 8
        # Chunks start at even bytes; some encoders forget that.
        file.seek(stop)
        tight = stop % 2 == 1 and frames and _CHUNK.fullmatch(file.read(4))
        position = stop if tight else stop + stop % 2
