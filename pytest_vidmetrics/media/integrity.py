"""Whether a file holds all the bytes that its container promises, and its parts follow each other.

A demuxer reads a cut file without complaint, or skips what it does not understand, and yields fewer frames. The
sizes in the headers of four container families show it exactly: MP4/MOV boxes and the tables of fragments, the
elements of Matroska/WebM, RIFF (AVI, WAV), and the blocks of a GIF. Frame rates and durations are not asked: clips
with a variable rate and edit lists are whole with fewer frames. Damage inside a frame is the decoder's to find.
Streams without such sizes (MPEG-TS, MP3, raw video) cut between two frames, and a fragmented MP4 cut between two
fragments, look whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from pytest_vidmetrics.media import fragments, matroska, riff
from pytest_vidmetrics.media.fragments import Box

_EBML = matroska.EBML.to_bytes(4, "big")
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx", b"mfra"}


def missing_bytes(path: Path) -> str | None:
    """Return what is wrong with a cut or damaged file; ``None`` for a whole one or a container without sizes."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        stream.seek(0)
        if head[4:8] in _BOXES:
            return _whole_boxes(stream, size)
        if head[:4] == _EBML:
            return matroska.damage(stream, size)
        if head[:4] == b"RIFF":
            short = _short(8 + int.from_bytes(head[4:8], "little"), size)
            return short or (riff.damage(path) if head[8:12] == b"AVI " else None)
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return _gif(stream)
    return None


def _short(promised: int, size: int) -> str | None:
    if riff.unknown_size(promised, size) or promised <= size + 1:  # one byte may be padding
        return None
    return f"the file is truncated: its header promises {promised} bytes and it has {size}"


def packets_held(path: Path, track: int, number: int) -> int:
    """Return how many packets of video a whole file holds; 0 where its container does not say.

    ``track`` is the number that the container gives to the stream (MP4, AVI), ``number`` counts its video streams.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] == _EBML:
            return matroska.block_count(path, number)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return riff.chunk_counts(path, track)[1]
        return fragments.sample_count(stream, _boxes(stream, size), track) if head[4:8] in _BOXES else 0


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
        if box.end > size and box.name in _BOXES:
            label = box.name.decode("ascii")
            return f"the file is truncated: box {label!r} ends at byte {box.end} of {size}"
    position = boxes[-1].end if boxes else 0
    names = [box.name for box in boxes]
    if b"moov" not in names:
        return "the file is truncated: it has no 'moov' box (the frame table)"
    # A fragment's table comes before its data. Other files may end in a few bytes of padding.
    if names[-1] == b"moof" or (b"moof" in names and position < size < position + 8):
        return f"the file is truncated: the data of its last fragment is missing at byte {position}"
    return fragments.damage(stream, boxes, size)


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
