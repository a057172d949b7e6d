"""Resizing of floating point frames as PyTorch does it, with the same numbers on every CPU.

PyTorch finds the place of a pixel in the smaller or larger frame in float32. With fused multiply-add (AVX2, AVX-512,
CUDA) that place is rounded once, without it twice, and a bicubic pixel moves by up to 5e-4 of 256 levels: enough to
round to another level. Here the place is rounded once everywhere, and the sums are in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

_A = -0.75
"""The constant of PyTorch's cubic convolution."""


def resize(frames: torch.Tensor, size: tuple[int, int], mode: Literal["bicubic", "bilinear"]) -> torch.Tensor:
    """Return float32 ``(..., H, W)`` frames in another ``(height, width)``, half-pixel centres, no antialiasing.

    Equal to ``torch.nn.functional.interpolate`` up to the rounding of its float32 sums. What bicubic overshoots is
    kept. On a GPU it is that function itself.
    """
    import torch
    import torch.nn.functional as F

    if frames.device.type != "cpu":
        return F.interpolate(frames.float(), size=size, mode=mode, align_corners=False, antialias=False)
    found = frames.double()
    for axis, length in ((-2, size[0]), (-1, size[1])):
        places, weights = _taps(found.shape[axis], length, mode)
        # Weights along one axis, broadcast over those behind it.
        shape = (length,) + (1,) * (-1 - axis)
        parts = [
            found.index_select(found.dim() + axis, torch.from_numpy(place)) * torch.from_numpy(weight).reshape(shape)
            for place, weight in zip(places, weights, strict=True)
        ]
        found = _sum(parts)
    return found.float()


def _sum(parts: list[torch.Tensor]) -> torch.Tensor:
    """Return the sum in the order of the parts, whatever the CPU."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _taps(
    before: int, after: int, mode: Literal["bicubic", "bilinear"]
) -> tuple[list[npt.NDArray[np.int64]], list[npt.NDArray[np.float64]]]:
    """Return which pixels of ``before`` make each of ``after``, and by which weights: 4 of each, or 2."""
    # A product of two float32 is exact in float64: rounding it with the difference is what a fused step does.
    scale = float(np.float32(before) / np.float32(after))
    place = (scale * (np.arange(after) + 0.5) - 0.5).astype(np.float32).astype(np.float64)
    # PyTorch keeps bilinear places at 0 or above; bicubic ones may be negative.
    if mode == "bilinear":
        place = np.maximum(place, 0.0)
    first = np.minimum(np.floor(place), before - 1)
    t = np.clip(place - first, 0.0, 1.0)
    start, weights = 0, [1.0 - t, t]
    if mode == "bicubic":
        start, weights = -1, [_outer(t + 1.0), _inner(t), _inner(1.0 - t), _outer(2.0 - t)]
    # Pixels beyond the edge repeat it.
    places = [np.clip(first + start + i, 0, before - 1).astype(np.int64) for i in range(len(weights))]
    return places, weights


def _inner(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the weights of pixels less than one away."""
    return ((_A + 2.0) * x - (_A + 3.0)) * x * x + 1.0


def _outer(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the weights of pixels one to two away."""
    return ((_A * x - 5.0 * _A) * x + 8.0 * _A) * x - 4.0 * _A
