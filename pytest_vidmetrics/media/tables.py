"""Whether the tables of an MP4 or MOV file agree with each other and with the data (ISO/IEC 14496-12).

How many frames a track has stands in several of them. A demuxer takes the smallest number, or stops where a frame
would lie beyond the end, without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

_LIMIT = 1 << 28
"""No frame table is that large; reading one is bounded."""
_TICK = 2
"""Units of the movie's clock by which rounded lengths differ."""


Numbers = npt.NDArray[np.int64]


class _DamagedError(Exception):
    """What is wrong with the tables of a track."""


@dataclass(frozen=True)
class Promise:
    """What a file says of one track: how many frames it holds, and whether an edit list that hides some is sound.

    ``edits`` is ``None`` without an edit list; else whether its parts lie inside the track and are as long as the
    track says that it is shown.
    """

    frames: int
    edits: bool | None = None


@dataclass(frozen=True)
class _Track:
    number: int
    shown_for: int
    scale: int
    counts: Numbers
    steps: Numbers
    offsets: Numbers
    sizes: Numbers
    chunks: Numbers
    edits: tuple[tuple[int, int], ...]
    lasts: int
    late: int
    """Units from the start of the track to its first frame: storing frames out of order takes time."""


@dataclass(frozen=True)
class Movie:
    """The tables of a ``moov`` box, or what is wrong with them."""

    scale: int
    tracks: tuple[_Track, ...]
    damage: str | None

    def promise(self, number: int) -> Promise | None:
        """Return what a whole file says of the track with an id; ``None`` for an unknown one."""
        for track in self.tracks:
            if track.number == number:
                return Promise(int(track.counts.sum()), _sound(track, self.scale) if track.edits else None)
        return None


def read_movie(stream: BinaryIO, start: int, end: int, size: int) -> Movie:
    """Read the ``moov`` box between two bytes of a file of ``size`` bytes."""
    stream.seek(start)
    data = stream.read(min(end - start, _LIMIT))
    tracks: list[_Track] = []
    try:
        for track in _tracks(data):
            tracks.append(track)
            if problem := _disagreement(track, size):
                return Movie(0, (), f"the file is damaged: the tables of track {len(tracks)}: {problem}")
        return Movie(_movie_scale(data), tuple(tracks), None)
    except _DamagedError as error:
        return Movie(0, (), f"the file is damaged: {error}")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of the boxes that fill ``data``; QuickTime may end a list with zeros."""
    position = 0
    while position + 8 <= len(data):
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        header = 8
        if length == 1:
            length, header = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        if length == 0 and not data[position:].strip(b"\0"):
            return
        if length < header or position + length > len(data):
            raise _DamagedError(f"a box does not fit into its own ({name!r})")
        yield name, data[position + header : position + length]
        position += length


def _only(data: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, body in _boxes(data):
        # Of two boxes of one name the first counts.
        found.setdefault(name, body)
    return found


def _movie_scale(data: bytes) -> int:
    header = _only(data).get(b"mvhd", b"")
    return _word(header, 20 if header[:1] == b"\x01" else 12)


def _tracks(data: bytes) -> Iterator[_Track]:
    for name, body in _boxes(data):
        # A header with a wrong length swallows what follows it.
        if name in (b"moof", b"mdat"):
            raise _DamagedError(f"the box 'moov' reaches over the box {name.decode()!r}")
        if name == b"trak" and (track := _track(body)) is not None:
            yield track


def _track(data: bytes) -> _Track | None:
    """Return the tables of a track; ``None`` for one that holds its data in another way."""
    parts = _only(data)
    media = _only(parts.get(b"mdia", b""))
    tables = _only(_only(media.get(b"minf", b"")).get(b"stbl", b""))
    if not {b"stts", b"stsc"} <= tables.keys() or not ({b"stsz", b"stz2"} & tables.keys()):
        raise _DamagedError("a track lacks a table of its frames")
    if b"mdhd" not in media or b"tkhd" not in parts:
        raise _DamagedError("a track lacks its header")
    header, clock = parts[b"tkhd"], media[b"mdhd"]
    long = header[:1] == b"\x01"
    times = _pairs(tables[b"stts"])
    # Places in 64 bits, for files above 4 GiB.
    offsets = tables.get(b"co64", tables.get(b"stco", b""))
    return _Track(
        number=_word(header, 20 if long else 12),
        shown_for=_word(header, 28, 8) if long else _word(header, 20),
        scale=_word(clock, 20 if clock[:1] == b"\x01" else 12),
        counts=times[:, 0],
        steps=times[:, 1],
        offsets=_column(offsets, 8, ">u8" if b"co64" in tables else ">u4"),
        sizes=_sizes(tables),
        chunks=_triples(tables[b"stsc"]),
        lasts=_word(clock, 24, 8) if clock[:1] == b"\x01" else _word(clock, 16),
        late=_word(tables.get(b"ctts", b""), 12),
        edits=tuple(_edits(_only(parts.get(b"edts", b"")).get(b"elst", b""))),
    )


def _word(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _column(data: bytes, at: int, kind: str, per: int = 1) -> Numbers:
    """Return the numbers of a table whose length stands before it; raises when it is shorter."""
    count = _word(data, 4) * per
    width = int(kind[-1])
    if at + count * width > len(data):
        raise _DamagedError("a table is shorter than it says")
    return np.frombuffer(data, kind, count, at).astype(np.int64)


def _pairs(data: bytes) -> Numbers:
    return _column(data, 8, ">u4", 2).reshape(-1, 2)


def _triples(data: bytes) -> Numbers:
    return _column(data, 8, ">u4", 3).reshape(-1, 3)


def _sizes(tables: dict[bytes, bytes]) -> Numbers:
    if b"stz2" in tables:
        body = tables[b"stz2"]
        bits, count = body[7], _word(body, 8)
        if 12 + (count * bits + 7) // 8 > len(body):
            raise _DamagedError("a table is shorter than it says")
        # Sizes of a few bits are only counted: which ends where is not checked.
        return np.full(count, 0, np.int64)
    body = tables[b"stsz"]
    same, count = _word(body, 4), _word(body, 8)
    if same:
        # One size for all.
        return np.full(min(count, _LIMIT), same, np.int64)
    if 12 + 4 * count > len(body):
        raise _DamagedError("a table is shorter than it says")
    return np.frombuffer(body, ">u4", count, 12).astype(np.int64)


def _edits(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield length and start of the parts of a track that are shown; start -1 is a pause."""
    row = struct.Struct(">Qqi" if data[:1] == b"\x01" else ">Iii")
    for number in range(_word(data, 4)):
        at = 8 + number * row.size
        if at + row.size > len(data):
            raise _DamagedError("an edit list is shorter than it says")
        length, start, _ = row.unpack_from(data, at)
        yield length, start


def _disagreement(track: _Track, size: int) -> str:
    frames = len(track.sizes)
    if int(track.counts.sum()) != frames:
        return f"{frames} frames have sizes, {int(track.counts.sum())} have times"
    if not len(track.offsets):
        return f"{frames} frames have no place" if frames else ""
    firsts, each = track.chunks[:, 0], track.chunks[:, 1]
    if not len(firsts) or firsts[0] != 1 or (np.diff(firsts) <= 0).any() or firsts[-1] > len(track.offsets):
        return "its chunks are not in order"
    # A chunk entry holds until the next one.
    per_chunk = np.repeat(each, np.diff(np.append(firsts, len(track.offsets) + 1)))
    placed = int(per_chunk.sum())
    if placed < frames:  # the last chunk may have room for more
        return f"{frames} frames have sizes, {placed} have a place"
    ends = np.minimum(np.cumsum(per_chunk), frames)
    # Byte of each frame within the track's data, one more at the end.
    total = np.concatenate(([0], np.cumsum(track.sizes)))
    lengths = total[ends] - total[np.concatenate(([0], ends[:-1]))]
    reach = track.offsets + lengths
    last = int(reach[lengths > 0].max(initial=0))
    return f"a frame ends at byte {last} of {size}" if last > size else ""


def _sound(track: _Track, movie_scale: int) -> bool:
    """Whether an edit list shows as long as its track does, and nothing beyond the track's end."""
    if not track.scale or not movie_scale:
        return False
    units = int((track.counts * track.steps).sum())
    # Frames that are stored first and never shown are not counted by every writer.
    if abs(units - track.lasts) > int(track.steps.max(initial=0)) + track.late:
        return False
    length = units / track.scale
    shown = sum(length for length, _ in track.edits)
    if abs(shown - track.shown_for) > _TICK * max(1, len(track.edits)):
        return False
    slack = _TICK / movie_scale
    # Frames that are stored before they are shown move the whole track back, and the edit list moves it forth again.
    return all(
        start < 0 or (start - track.late) / track.scale + lasts / movie_scale <= length + slack
        for lasts, start in track.edits
    )
