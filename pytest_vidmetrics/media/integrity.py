"""Whether a file holds all the bytes that its container promises, and its parts follow each other.

A demuxer reads a cut file without complaint, or skips what it does not understand, and yields fewer frames. The
sizes in the headers of container families show it exactly: MP4/MOV boxes, their tables and those of fragments, the
elements of Matroska/WebM, RIFF (AVI, WAV), the blocks of a GIF, the packets of a transport stream, the pages of Ogg,
and the header that MP3 encoders write. What players do not need is not asked: an outer size that is too large or
unknown, frame rates, durations. Damage inside a frame is the decoder's to find. A raw stream, a transport stream or a
fragmented MP4 that was cut between two frames or fragments looks whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pytest_vidmetrics.media import flash, fragments, gif, matroska, mp3, ogg, riff, tables, transport, waves
from pytest_vidmetrics.media.fragments import Box
from pytest_vidmetrics.media.tables import Movie, Promise

_EBML = matroska.EBML.to_bytes(4, "big")
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"mfra"}


def _unknown(track: int, number: int) -> Promise:
    return Promise(0)


@dataclass(frozen=True)
class Contents:
    """What a file says of itself.

    ``damage`` says what is wrong with one that is cut or damaged; it is ``None`` for a whole one and for a container
    without sizes. ``parts`` is of how many transport streams it was joined, 1 for every other file. ``held(track,
    number)`` gives how many packets of video a whole file holds, 0 where its container does not say: ``track`` is the
    number that the container gives to the stream (MP4, AVI, transport streams), ``number`` counts its video streams. A
    packet of a transport stream that begins a frame counts as one.
    """

    damage: str | None = None
    parts: int = 1
    held: Callable[[int, int], Promise] = _unknown


def contents_of(path: Path) -> Contents:
    """Read what a file says of itself, each of its tables once."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(600)
        stream.seek(0)
        if head[4:8] in _BOXES:
            return _boxed(stream, path, size)
        if head[:4] == _EBML:
            wrong, blocks = matroska.read_blocks(stream, size)
            return Contents(wrong, held=lambda _, number: Promise(blocks[number] if number < len(blocks) else 0))
        if head[:4] in (b"RIFF", b"RF64", b"BW64"):
            if head[8:12] != b"AVI ":
                return Contents(waves.damage(stream, size))
            held = (lambda track, _: Promise(riff.chunk_counts(path, track)[1])) if head[:4] == b"RIFF" else _unknown
            return Contents(riff.damage(path), held=held)
        if head[:3] == b"GIF":
            wrong, count = gif.read_pictures(stream.read())
            return Contents(wrong if head[3:6] in (b"87a", b"89a") else None, held=lambda *_: Promise(count))
        if head[:3] == b"FLV":
            return Contents(flash.damage(stream, size), held=lambda *_: Promise(_pictures(path, size)))
        if head[:4] == b"OggS":
            return Contents(ogg.damage(stream, size))
        if mp3.is_mp3(head):
            return Contents(mp3.damage(stream, size))
    if not transport.is_transport(head):
        return Contents()
    read = transport.read_transport(path)
    return Contents(read.damage, read.parts, lambda track, _: Promise(transport.frame_count(path, track)))


def missing_bytes(path: Path) -> str | None:
    """Return what is wrong with a cut or damaged file; ``None`` for a whole one or a container without sizes."""
    return contents_of(path).damage


def _pictures(path: Path, size: int) -> int:
    with path.open("rb") as stream:
        return flash.picture_count(stream, size)


def _boxed(stream: BinaryIO, path: Path, size: int) -> Contents:
    boxes = _boxes(stream, size)
    if (cut := _cut(boxes, size)) is not None:
        return Contents(cut)
    movies = [tables.read_movie(stream, box.body, box.end, size) for box in boxes if box.name == b"moov"]
    wrong = next((movie.damage for movie in movies if movie.damage), None) or fragments.damage(stream, boxes, size)
    return Contents(wrong, held=partial(_promised, path, boxes, movies))


def _promised(path: Path, boxes: list[Box], movies: list[Movie], track: int, _: int) -> Promise:
    listed = movies[0].promise(track) if movies else None
    with path.open("rb") as stream:
        frames = fragments.sample_count(stream, boxes, track)
    return Promise(frames + (listed.frames if listed else 0), listed.edits if listed else None)


def _boxes(stream: BinaryIO, size: int) -> list[Box]:
    """Return the top-level boxes, up to one that ends beyond the file or cannot be one."""
    position, boxes = 0, list[Box]()
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(16)
        length, name, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, header = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = size - position
        if length < header:
            break
        boxes.append(Box(name, position, position + header, position + length))
        position += length
    return boxes


def _cut(boxes: list[Box], size: int) -> str | None:
    """Return which of the boxes is cut or missing, or nothing."""
    for box in boxes:
        # A name that is not known may be padding, whatever length it seems to say.
        if box.end > size and box.name in _BOXES:
            label = box.name.decode("ascii")
            return f"the file is truncated: box {label!r} ends at byte {box.end} of {size}"
    position = boxes[-1].end if boxes else 0
    names = [box.name for box in boxes]
    if b"moov" not in names and b"meta" not in names:  # a still AVIF has no frame table
        return "the file is truncated: it has no 'moov' box (the frame table)"
    # A fragment's table comes before its data. Other files may end in a few bytes of padding.
    if names[-1] == b"moof" or (b"moof" in names and position < size < position + 8):
        return f"the file is truncated: the data of its last fragment is missing at byte {position}"
    return None
