"""Whether an MPEG transport stream holds every packet that was sent (ISO/IEC 13818-1).

Each packet has a number that counts by one within its program; a gap is a loss. Where streams were joined, the
tables of the program or its clock begin anew at the same place: nothing is lost there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_SYNC = 0x47
_SIZE = 188
_NULL = 0x1FFF
_TABLES = 0x20
"""Below this number, and in the program's map, packets hold tables."""
_STARTS = 0x40
"""Set where a frame, or a block of sound, begins."""
_AHEAD = 90_000
"""How far the program's clock goes ahead within one recording, in its units: a second between two stamps is much."""

Packets = npt.NDArray[np.uint8]


class Transport(NamedTuple):
    """What is wrong with a transport stream, if anything is, and of how many recordings it was joined."""

    damage: str | None
    parts: int = 1


def is_transport(head: bytes) -> bool:
    """Whether a file that starts with ``head``, its first 600 bytes, is a transport stream."""
    return _offset(head) is not None


def _offset(head: bytes) -> int | None:
    """Return how many bytes stand before each packet: 0, or 4 on discs; ``None`` for another kind of file."""
    for before in (0, 4):
        step = _SIZE + before
        places = range(before, min(len(head), 3 * step), step)
        if len(head) > before and all(head[place] == _SYNC for place in places) and len(places) > 1:
            return before
    return None


def read_transport(path: Path) -> Transport:
    """Return whether a transport stream is whole."""
    data = np.fromfile(path, dtype=np.uint8)
    before = _offset(data[:600].tobytes()) or 0
    step = _SIZE + before
    count, rest = divmod(len(data), step)
    # A view of (packets, 188) bytes.
    packets = data[: count * step].reshape(count, step)[:, before:]
    if len(wrong := np.flatnonzero(packets[:, 0] != _SYNC)):
        return Transport(f"the file is damaged: no transport packet at byte {int(wrong[0]) * step + before}")
    # The transport error bit, which a receiver sets.
    if len(wrong := np.flatnonzero(packets[:, 1] & 0x80)):
        return Transport(f"the file is damaged: the packet at byte {int(wrong[0]) * step} was received in error")
    if rest:
        return Transport(f"the file is truncated: its last packet has {rest} of {step} bytes")
    return _counted(packets, step)


def frame_count(path: Path, pid: int) -> int:
    """Return how many frames of a program are sent with a time of their own: at least so many there are."""
    data = np.fromfile(path, dtype=np.uint8)
    before = _offset(data[:600].tobytes()) or 0
    step = _SIZE + before
    packets = data[: len(data) // step * step].reshape(-1, step)[:, before:]
    pids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
    rows = packets[(pids == pid) & (packets[:, 1] & _STARTS != 0) & (packets[:, 3] & 0x10 != 0)]
    # The adaptation field stands before the payload.
    starts = 4 + np.where(rows[:, 3] & 0x20, rows[:, 4].astype(np.int64) + 1, 0)
    # Room for a header of nine bytes.
    rows, starts = rows[starts + 8 < _SIZE], starts[starts + 8 < _SIZE]
    each = np.arange(len(rows))
    # 00 00 01 begins a packetised stream.
    begun = (rows[each, starts] == 0) & (rows[each, starts + 1] == 0) & (rows[each, starts + 2] == 1)
    # Where no frame begins though the packet says so, one was damaged.
    return int(((rows[each, starts + 7] & 0x80 != 0) | ~begun).sum())


def _counted(packets: Packets, step: int) -> Transport:
    pids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
    payload = (packets[:, 3] & 0x10) != 0
    numbers = packets[:, 3] & 0x0F
    adapted = (packets[:, 3] & 0x20) != 0
    # The stream itself says that numbers jump here.
    allowed = adapted & (packets[:, 4] > 0) & ((packets[:, 5] & 0x80) != 0)
    tables = {*range(_TABLES), *_maps(packets, pids)}
    breaks: list[tuple[int, int]] = []  # the packets of one program before and after a gap in its numbers
    starts: list[int] = []  # where another recording begins
    for pid in np.unique(pids[pids != _NULL]):
        where = np.flatnonzero((pids == pid) & payload)
        low, high = where[:-1], where[1:]
        # Numbers have four bits.
        jump = (numbers[high].astype(np.int16) - numbers[low]) % 16
        # A packet may be sent twice.
        repeated = (jump == 0) & (packets[high, 4:] == packets[low, 4:]).all(axis=1)
        gaps = np.flatnonzero((jump != 1) & ~repeated & ~allowed[high])
        if int(pid) in tables:
            starts += high[gaps].tolist()  # tables are sent again and again: a lost one is no lost picture
        else:
            breaks += list(zip(low[gaps].tolist(), high[gaps].tolist(), strict=True))
    falls = _clock_jumps(packets, pids)
    first_tables = np.flatnonzero(pids == 0)
    for before, place in falls:
        # A recording begins with its tables, which come before the packet that shows its clock.
        near = first_tables[(first_tables > before) & (first_tables <= place)]
        starts.append(int(near[-1]) if len(near) else place)
    # A gap where recordings meet is not a loss, if a frame begins behind it.
    for last, next_ in sorted(breaks, key=lambda one: one[1]):
        if not packets[next_, 1] & _STARTS or not any(last < start <= next_ for start in starts):
            return Transport(f"the file is damaged: packets are lost before byte {next_ * step}")
    return Transport(None, 1 + max(len(falls), sum(int(pids[start]) == 0 for start in set(starts))))


def _maps(packets: Packets, pids: npt.NDArray[np.int32]) -> set[int]:
    """Return the numbers under which the maps of the programs are sent, from the program tables."""
    found: set[int] = set()
    for row in packets[(pids == 0) & (packets[:, 1] & _STARTS != 0)][:64]:
        start = 4 + (1 + int(row[4]) if row[3] & 0x20 else 0)
        if start >= _SIZE - 12:
            continue
        # The pointer says how many bytes of another table come first.
        table = row[start + 1 + int(row[start]) :]
        length = (int(table[1]) & 0x0F) << 8 | int(table[2]) if len(table) > 3 else 0
        # Without the checksum.
        entries = table[8 : max(8, 3 + length - 4)]
        # An entry has a program and the packet number of its map.
        found |= {(int(entries[i + 2]) & 0x1F) << 8 | int(entries[i + 3]) for i in range(0, len(entries) - 3, 4)}
    return found


def _clock_jumps(packets: Packets, pids: npt.NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return the packets before and after each place where a program's clock falls back or leaps ahead."""
    with_clock = (packets[:, 3] & 0x20 != 0) & (packets[:, 4] >= 7) & (packets[:, 5] & 0x10 != 0)
    found: list[tuple[int, int]] = []
    for pid in np.unique(pids[with_clock]):
        places = np.flatnonzero(with_clock & (pids == pid))
        fields = packets[places, 6:11].astype(np.int64)
        # 33 bits of 90 kHz in five bytes.
        clock = fields[:, 0] << 25 | fields[:, 1] << 17 | fields[:, 2] << 9 | fields[:, 3] << 1 | fields[:, 4] >> 7
        steps = np.diff(clock)
        jumps = np.flatnonzero((steps < 0) | (steps > _AHEAD))
        found += [(int(places[i]), int(places[i + 1])) for i in jumps]
    return found
