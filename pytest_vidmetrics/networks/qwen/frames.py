"""Which frames of a clip a Qwen judge sees: the rule of qwen-vl-utils, and that of FastVideo."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_vidmetrics.core.errors import IncompatibleSampleError

FPS = 2.0
"""Frames per second that are asked for."""
FEWEST, MOST = 4, 768
"""Frames that the path rule takes at least (where the clip has them) and at most."""
FASTVIDEO_MOST = 64
_STEP = 2
"""Two frames make one temporal patch."""


@dataclass(frozen=True)
class Chosen:
    """The frames of one clip: ``indices`` ascending, ``rate`` in chosen frames per second of the clip.

    ``rate`` is ``None`` where the clip has no rate of its own.
    """

    indices: tuple[int, ...]
    rate: float | None


def path_rule(total: int, rate: float, fps: float = FPS) -> Chosen:
    """Choose frames as qwen-vl-utils does for a file: an even number, evenly spaced, first and last included.

    ``total`` is how many frames the clip has, ``rate`` its frames per second. At least 4 frames where the clip has
    them, so that short clips are seen at more than ``fps``. Raises :class:`IncompatibleSampleError` for one frame.
    Source: qwen-vl-utils 0.0.11 to 0.0.14, ``smart_nframes``.
    """
    if not (rate > 0 and math.isfinite(rate)):
        raise IncompatibleSampleError(f"the clip has {rate!r} frames per second: no time rule applies to that")
    most = min(MOST, total) // _STEP * _STEP
    count = int(min(max(total / rate * fps, FEWEST), most, total) // _STEP) * _STEP
    if count < _STEP:
        raise IncompatibleSampleError(f"the clip has {total} frame(s): the judge needs at least {_STEP}")
    # Python rounds halves to even, as torch does.
    indices = tuple(round(i * (total - 1) / (count - 1)) for i in range(count))
    return Chosen(indices, count / total * rate)


def fastvideo_rule(total: int, rate: float | None, fps: float = FPS) -> Chosen:
    """Choose frames as FastVideo does: 1 to 64 of them, truncated steps, even or odd.

    Without a rate, up to 64 frames stand for the clip whatever it lasts. Source: FastVideo @2f3d4074.
    """
    wanted = FASTVIDEO_MOST if not rate else max(1, min(FASTVIDEO_MOST, round(total / rate * fps)))
    if wanted >= total:
        indices = tuple(range(total))
    # The last one exactly: steps may fall short of it.
    elif wanted == 1:
        indices = (0,)
    else:
        step = (total - 1) / (wanted - 1)
        indices = (*(int(i * step) for i in range(wanted - 1)), total - 1)
    return Chosen(indices, len(indices) / total * rate if rate else None)
