"""Whether a file holds all the bytes that its container promises, and its parts follow each other.

A demuxer reads a cut file without complaint, or skips what it does not understand, and yields fewer frames. The
sizes in the headers of container families show it exactly: MP4/MOV boxes, their tables and those of fragments, the
elements of Matroska/WebM, RIFF (AVI, WAV), the blocks of a GIF, the packets of a transport stream, the pages of Ogg,
and the header that MP3 encoders write. What players do not need is not asked: an outer size that is too large or
unknown, frame rates, durations. Damage inside a frame is the decoder's to find. A raw stream, a transport stream or a
fragmented MP4 that was cut between two frames or fragments looks whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from pytest_vidmetrics.media import flash, fragments, gif, matroska, mp3, ogg, riff, tables, transport, waves
from pytest_vidmetrics.media.fragments import Box
from pytest_vidmetrics.media.tables import Promise

_EBML = matroska.EBML.to_bytes(4, "big")
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"mfra"}


def missing_bytes(path: Path) -> str | None:
    """Return what is wrong with a cut or damaged file; ``None`` for a whole one or a container without sizes."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        # 600 bytes: three packets of a transport stream.
        head = stream.read(600)
        stream.seek(0)
        if head[4:8] in _BOXES:
            return _whole_boxes(stream, size)
        if head[:4] == _EBML:
            return matroska.damage(stream, size)
        if head[:4] in (b"RIFF", b"RF64", b"BW64"):
            return riff.damage(path) if head[8:12] == b"AVI " else waves.damage(stream, size)
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return gif.damage(stream, size)
        if head[:3] == b"FLV":
            return flash.damage(stream, size)
        if head[:4] == b"OggS":
            return ogg.damage(stream, size)
        if mp3.is_mp3(head):
            return mp3.damage(stream, size)
    return transport.read_transport(path).damage if transport.is_transport(head) else None


def joined_parts(path: Path) -> int:
    """Return of how many transport streams a file was joined; 1 for every other file."""
    with path.open("rb") as stream:
        head = stream.read(600)
    return transport.read_transport(path).parts if transport.is_transport(head) else 1


def packets_held(path: Path, track: int, number: int) -> Promise:
    """Return how many packets of video a whole file holds, 0 where its container does not say.

    ``track`` is the number that the container gives to the stream (MP4, AVI, transport streams), ``number`` counts
    its video streams. A packet of a transport stream that begins a frame counts as one.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(600)
        if head[:4] == _EBML:
            return Promise(matroska.block_count(path, number))
        if head[:3] == b"GIF":
            return Promise(gif.picture_count(path))
        if head[:3] == b"FLV":
            return Promise(flash.picture_count(stream, size))
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return Promise(riff.chunk_counts(path, track)[1])
        if head[4:8] in _BOXES:
            return _promised(path, stream, size, track)
    return Promise(transport.frame_count(path, track) if transport.is_transport(head) else 0)


def _promised(path: Path, stream: BinaryIO, size: int, track: int) -> Promise:
    boxes = _boxes(stream, size)
    table = next((box for box in boxes if box.name == b"moov"), None)
    listed = tables.promise(path, table.body, table.end, track) if table is not None else None
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


def _whole_boxes(stream: BinaryIO, size: int) -> str | None:
    boxes = _boxes(stream, size)
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
    wrong = [tables.damage(stream, box.body, box.end, size) for box in boxes if box.name == b"moov"]
    return next((one for one in wrong if one), None) or fragments.damage(stream, boxes, size)
