"""Values of each frame, from what the store kept of a clip's scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MOST = 3
"""Curves of one gate and clip; some metrics keep many lists."""
_LABELS = {"per_frame": "each frame", "frame_results": "each frame", "per_pair_mae": "each frame from the one before"}
_EVERY_SECOND = frozenset({"pair_differences"})
"""Lists with one value for each frame between two others: the frames 1, 3, 5 and so on."""
_HARM = frozenset({"pair_differences", "per_pair_mae"})
"""Lists whose large values are the bad ones, whatever is good for the score."""


@dataclass(frozen=True)
class Curve:
    """One list of values: ``values[i]`` belongs to frame ``first + i * step`` of the candidate.

    ``high_is_bad`` is ``None`` where the direction is that of the gate.
    """

    gate: int
    name: str
    first: int
    step: int
    high_is_bad: bool | None
    values: tuple[float | None, ...]


def curves_of(gate: int, details: Mapping[str, Any], frames: int) -> list[Curve]:
    """Return the curves in a result's details: lists of numbers with one value per frame, or per pair of frames.

    ``frames`` is how many frames the clip has. A pair's value belongs to its second frame. Numbers that are not finite
    are gaps.
    """
    found = []
    for name, value in details.items():
        values = _numbers(value)
        if values is None or len(values) < 2:
            continue
        label, bad = _LABELS.get(name, name.replace("_", " ")), True if name in _HARM else None
        if name in _EVERY_SECOND and len(values) == (frames - 1) // 2:
            found.append(Curve(gate, label, 1, 2, bad, values))
        elif len(values) in (frames, frames - 1):
            found.append(Curve(gate, label, frames - len(values), 1, bad, values))
    return found[:_MOST]


def _numbers(value: Any) -> tuple[float | None, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    out: list[float | None] = []
    for one in value:
        if isinstance(one, bool) or not isinstance(one, (int, float, type(None))):
            return None
        out.append(None if one is None or not math.isfinite(one) else float(f"{one:.5g}"))
    return tuple(out)
