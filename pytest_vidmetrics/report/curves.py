"""Values of each frame, from what the store kept of a clip's scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest

_MOST = 3
"""Curves of one gate and clip; some metrics keep many lists."""
_LABELS = {
    "per_frame": "each frame",
    "frame_results": "each frame",
    "per_pair_mae": "each frame from the one before",
    "pair_scores": "motion in pixels",
}
_EVERY_SECOND = frozenset({"pair_differences"})
"""Lists with one value for each frame between two others: the frames 1, 3, 5 and so on."""
_HARM = frozenset({"pair_differences", "per_pair_mae"})
"""Lists whose large values are the bad ones, whatever is good for the score."""
_TABLES = {"per_frame_metrics": "pixel_epe_mean"}
"""Lists of tables, by the number in each of them that the score is the mean of."""
_STEPPED = "pair_scores"
"""Pairs of frames that are ``details["step"]`` apart, up to the one that decides."""


@dataclass(frozen=True)
class Curve:
    """One list of values: ``values[i]`` belongs to frame ``frames[i]`` of the candidate.

    ``high_is_bad`` is ``None`` where the direction is that of the gate.
    """

    gate: int
    name: str
    frames: tuple[int, ...]
    high_is_bad: bool | None
    values: tuple[float | None, ...]


def curves_of(gate: int, details: Mapping[str, Any], frames: int, request: FrameRequest = ALL_FRAMES) -> list[Curve]:
    """Return the curves in a result's details: lists of numbers with one value per frame, or per pair of frames.

    ``frames`` is how many frames the clip has, ``request`` which of them the metric looks at. A pair's value belongs
    to its second frame. Numbers that are not finite are gaps.
    """
    found = []
    for name, values in _lists(details):
        shown = _frames_of(name, len(values), details, frames, request)
        if len(shown) > 1:
            label, bad = _LABELS.get(name, name.replace("_", " ")), True if name in _HARM else None
            found.append(Curve(gate, label, tuple(shown), bad, values[: len(shown)]))
    return found[:_MOST]


def _lists(details: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    for name, value in details.items():
        if (key := _TABLES.get(name)) and isinstance(value, Sequence):
            value = [one.get(key) if isinstance(one, Mapping) else "" for one in value]
            name = key
        values = _numbers(value)
        if values is not None and len(values) > 1:
            yield name, values


def _frames_of(name: str, count: int, details: Mapping[str, Any], frames: int, request: FrameRequest) -> Sequence[int]:
    """Return the frame of each value of a list; nothing for a list that is not one of frames.

    A clip that is too short for what a metric looks at has its last frame repeated behind its own.
    """
    if name == _STEPPED:
        step = details.get("step")
        # The last pair must lie in the clip, else the list is of another one.
        if not isinstance(step, int) or step <= 0 or count * step >= frames:
            return ()
        return range(step, count * step + 1, step)
    if name in _EVERY_SECOND and count == (frames - 1) // 2:
        return range(1, 2 * count, 2)
    seen = request.indices(frames)
    # A clip that is too short is padded by its last frame: the values go on behind its own frames.
    if count == len(seen) or (request.count == count > len(seen)):
        return seen
    # One value less than frames: pairs, each at its second frame.
    return seen[1:] if count == len(seen) - 1 else ()


def _numbers(value: Any) -> tuple[float | None, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    out: list[float | None] = []
    for one in value:
        if isinstance(one, bool) or not isinstance(one, (int, float, type(None))):
            return None
        # Five digits: the page has ten thousand of them.
        out.append(None if one is None or not math.isfinite(one) else float(f"{one:.5g}"))
    return tuple(out)
