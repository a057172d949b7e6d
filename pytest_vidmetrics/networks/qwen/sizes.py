"""To which size frames are brought before the vision tower sees them: the rules of qwen-vl-utils and of FastVideo."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_vidmetrics.core.errors import IncompatibleSampleError

Size = tuple[int, int]
"""Height and width in pixels."""

FACTOR = 28
"""Sides are multiples of this: patches of 14 pixels, merged two by two."""
_TOKEN = FACTOR * FACTOR
LEAST = 128 * _TOKEN
MOST = 768 * _TOKEN
AVOCADO_MOST = 512 * _TOKEN
"""Pixels of a frame: at least, at most, and at most for AVoCaDO's captions."""
TOTAL = int(128000 * _TOKEN * 0.9)
"""Pixels of all frames together; above 300 frames it lowers the limit of each."""
_FRAMES_PER_TOKEN = 2
_THINNEST = 200
_FASTVIDEO_SIDE = 960
_FASTVIDEO_FACTOR = 56
_PICTURE_LEAST, _PICTURE_MOST = 4 * _TOKEN, 16384 * _TOKEN


@dataclass(frozen=True)
class Limits:
    """How many pixels one frame may have."""

    least: int
    most: int


def clip_limits(frames: int, most: int = MOST) -> Limits:
    """Return the limits of each of ``frames`` frames of a clip; ``most`` is the limit of short clips.

    Above 300 frames the pixels of the whole clip are limited, but never below 1.05 times the least.
    """
    share = TOTAL / frames * _FRAMES_PER_TOKEN
    return Limits(LEAST, int(max(min(most, share), int(LEAST * 1.05))))


def fitted(size: Size, limits: Limits, factor: int = FACTOR) -> Size:
    """Return the size nearest to ``size`` whose sides are multiples of ``factor`` within the limits.

    Small frames are enlarged. Raises :class:`IncompatibleSampleError` for a side more than 200 times the other: within
    that, no limit that a clip of 768 frames has can shrink a side to nothing.
    Source: qwen-vl-utils 0.0.14, ``smart_resize``.
    """
    height, width = size
    if max(size) / min(size) > _THINNEST:
        raise IncompatibleSampleError(
            f"frames of {height} x {width}: one side is more than {_THINNEST} times the other, which no judge sees"
        )
    found = (max(factor, round(height / factor) * factor), max(factor, round(width / factor) * factor))
    # Floors and ceilings instead of rounding: the limit holds after they are applied.
    if found[0] * found[1] > limits.most:
        shrink = math.sqrt(height * width / limits.most)
        found = (math.floor(height / shrink / factor) * factor, math.floor(width / shrink / factor) * factor)
    elif found[0] * found[1] < limits.least:
        grow = math.sqrt(limits.least / (height * width))
        found = (math.ceil(height * grow / factor) * factor, math.ceil(width * grow / factor) * factor)
    return found


def clip_size(size: Size, frames: int, most: int = MOST) -> Size:
    """Return the size of each of ``frames`` frames of a clip that is read from a file."""
    return fitted(size, clip_limits(frames, most))


def picture_size(size: Size) -> Size:
    """Return the size of a single picture."""
    return fitted(size, Limits(_PICTURE_LEAST, _PICTURE_MOST))


def fastvideo_sizes(size: Size, frames: int) -> tuple[Size, Size, Size]:
    """Return the sizes after each of the three resizes of FastVideo with qwen-vl-utils 0.0.14.

    At most 960 pixels on the long side; then multiples of 56, because the package takes 28 for the patch; then
    :func:`clip_size`. The aspect is bent on the way.
    """
    scale = min(1.0, _FASTVIDEO_SIDE / max(size))
    capped = (int(size[0] * scale), int(size[1] * scale)) if scale < 1.0 else size
    bent = fitted(capped, Limits(4 * _FASTVIDEO_FACTOR**2, 16384 * _FASTVIDEO_FACTOR**2), _FASTVIDEO_FACTOR)
    return capped, bent, clip_size(bent, frames)
