"""When each frame of a clip is shown: its rate where that says it all, and its times where it does not."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_FALL, _SHOWN_FALL = 0.01, 0.5
"""Seconds by which times fall back where another recording was joined on: those of decoding, and of presentation."""
_MILLISECOND = 0.002
"""Two steps of a constant rate differ by this much where times are whole milliseconds."""
_SAME = 0.01
"""Part of a rate by which what a container says may differ from what its times say."""
_PLAUSIBLE = 0.1
"""The same for a variable rate, of which the mean depends on what is counted."""
_SLACK = 1e-6


@dataclass(frozen=True)
class Clock:
    """The times of a clip's frames.

    ``fps`` is the mean rate in frames per second, ``None`` where nothing says it. ``times`` is ``None`` for a
    constant rate: frame ``i`` is shown at ``i / fps``. Otherwise it holds, in seconds from the first frame, when each
    frame begins, and at its end when the last one ends.
    """

    fps: float | None
    times: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Stamp:
    """When one frame is shown and decoded, and for how long, in units of the stream; ``None`` is not known."""

    pts: int | None
    dts: int | None
    duration: int | None = None


def clock_of(stamps: Sequence[Stamp], unit: float, stated: Iterable[float | None]) -> Clock:
    """Return the clock of frames that are given in decoding order.

    ``unit`` is the length of the stream's time unit in seconds. ``stated`` are the rates that the container states,
    the one that is believed first: one is taken as long as the times agree. Recordings that were joined follow each
    other, whatever their times are.
    """
    listed = list(stated)
    rates = [rate for rate in listed if rate]
    seconds = _seconds(stamps, unit)
    if seconds is None or len(seconds) < 2 or seconds[-1] <= 0:
        return Clock(listed[0] if listed else None)
    steps = [after - before for before, after in itertools.pairwise(seconds)]
    last = _last_step(stamps, unit, steps)
    measured = len(steps) / seconds[-1]
    middle = sorted(steps)[len(steps) // 2]
    # Steps of one rate differ by what rounding to the time unit makes of them, but by less than a quarter of a step.
    constant = max(steps) - min(steps) <= max(_SLACK, min(max(_MILLISECOND, 2 * unit), middle / 4))
    if constant:
        # What is stated is believed where times agree, as 30000/1001 is not measured exactly.
        near = (rate for rate in rates if abs(rate - measured) <= max(_SAME, 2 * unit / seconds[-1]) * measured)
        return Clock(next(near, measured))
    # The mean over the clip counts the last frame too, and how long that is shown is not always known.
    low, high = (len(seconds) / (seconds[-1] + step) for step in (max(steps), min(steps)))
    # The first alone is a mean; the others say nothing of a variable rate.
    near = (rate for rate in rates[:1] if low * (1 - _PLAUSIBLE) <= rate <= high * (1 + _PLAUSIBLE))
    return Clock(next(near, len(seconds) / (seconds[-1] + last)), (*seconds, seconds[-1] + last))


def _last_step(stamps: Sequence[Stamp], unit: float, steps: Sequence[float]) -> float:
    stated = max(stamps, key=lambda stamp: stamp.pts or 0).duration
    # A duration far beyond the longest step is an unset field.
    return stated * unit if stated and 0 < stated * unit <= 2 * max(steps) else steps[-1]


def _seconds(stamps: Sequence[Stamp], unit: float) -> list[float] | None:
    """Return the times of the frames in the order in which they are shown, from 0; ``None`` where one is not known."""
    out: list[float] = []
    start = 0.0
    for part in _parts(stamps, unit):
        known = sorted(stamp.pts for stamp in part if stamp.pts is not None)
        if len(known) < len(part):
            return None
        if out:
            # The joined part goes on after the last frame, which is shown as long as the one before.
            start = out[-1] + (out[-1] - out[-2] if len(out) > 1 else unit)
        out += [start + (pts - known[0]) * unit for pts in known]
    return out


def _parts(stamps: Sequence[Stamp], unit: float) -> Iterable[list[Stamp]]:
    """Split the frames where their times fall back: there another recording was joined on."""
    part: list[Stamp] = []
    before: int | None = None
    for stamp in stamps:
        now = stamp.dts if stamp.dts is not None else stamp.pts
        # Times of presentation fall back by some frames within one recording.
        fall = _FALL if stamp.dts is not None else _SHOWN_FALL
        if part and before is not None and now is not None and (before - now) * unit > fall:
            yield part
            part = []
        part.append(stamp)
        before = now
    if part:
        yield part


def shown_at(times: Sequence[float], moment: float) -> int:
    """Return the number of the frame that is shown at a moment; ``times`` as in :class:`Clock`."""
    # The last entry is the end of the last frame, not a frame.
    return min(max(0, bisect_right(times, moment + _SLACK) - 1), len(times) - 2)


def frames_before(times: Sequence[float], moment: float) -> int:
    """Return how many frames begin before a moment."""
    return bisect_left(times, moment - _SLACK, 0, len(times) - 1)
