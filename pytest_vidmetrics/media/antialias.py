"""Pillow's antialiased resizing in whole numbers, on any device: the same bytes without a way back to the host."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_BITS = 22
"""Pillow's fixed point for pixels of 8 bits."""
_TOGETHER = 32
"""Frames at a time: as float64 they take eight times their memory."""


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 if x < 2.0 else 0.0


def _lanczos(x: float) -> float:
    def sinc(value: float) -> float:
        return 1.0 if value == 0.0 else math.sin(value * math.pi) / (value * math.pi)

    return sinc(x) * sinc(x / 3) if -3.0 <= x < 3.0 else 0.0


FILTERS: dict[str, tuple[Callable[[float], float], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""Each filter and how far it reaches at full size."""


def resize(frames: Tensor, size: tuple[int, int], filter: str) -> Tensor:
    """Return ``(T, C, *size)`` uint8 of ``(T, C, H, W)`` uint8, bit for bit what Pillow gives.

    ``filter`` is one of :data:`FILTERS`. Columns are resized first, then rows, and each is rounded to a byte; the
    other way round where there are fewer rows and more columns, as Pillow 13 does. float64 holds every sum of
    multiples of 2**-22 exactly, so that matrix products do it.
    """
    height, width = frames.shape[-2:]
    rows_first = size[0] < height and size[1] > width
    parts = []
    for part in frames.split(_TOGETHER):
        done = part
        for of_rows in (rows_first, not rows_first):
            if of_rows and height != size[0]:
                # (target rows, rows) @ (T, C, rows, columns)
                done = _rounded(weights(height, size[0], filter, frames.device) @ _exact(done))
            elif not of_rows and width != size[1]:
                done = _rounded(_exact(done) @ weights(width, size[1], filter, frames.device).T)
        parts.append(done)
    return torch.cat(parts)


def _exact(frames: Tensor) -> Tensor:
    return frames.to(torch.float64, memory_format=torch.contiguous_format)


def _rounded(sums: Tensor) -> Tensor:
    # Half is added before the rest is cut off, as Pillow's integers are rounded; what is negative becomes 0 either way.
    return sums.add_(0.5).clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=32)
def weights(length: int, target: int, filter: str, device: torch.device) -> Tensor:
    """Return the ``(target, length)`` weights of every source pixel, multiples of 2**-22, in float64."""
    kernel, reach = FILTERS[filter]
    scale = length / target
    # Shrinking stretches the filter over the source pixels that one target pixel covers.
    stretch = max(scale, 1.0)
    found = np.zeros((target, length))
    for row in range(target):
        centre = (row + 0.5) * scale
        # +0.5 and truncation, as Pillow rounds the ends of its window.
        first = max(0, int(centre - reach * stretch + 0.5))
        last = min(length, int(centre + reach * stretch + 0.5))
        values = [kernel((place - centre + 0.5) * (1.0 / stretch)) for place in range(first, last)]
        total = 0.0
        for value in values:  # one after the other, as the library adds them
            total += value
        for place, value in enumerate(values, first):
            share = value / total if total else value
            # Away from zero, as Pillow rounds negative lobes too.
            found[row, place] = math.trunc(share * (1 << _BITS) + math.copysign(0.5, share)) / (1 << _BITS)
    # The cache outlives the call: a tensor made in inference mode could not be used outside of it.
    with torch.inference_mode(False):
        return torch.from_numpy(found).to(device)
