"""Resizing of uint8 frames with the exact integers of the libraries that published metrics use.

All functions take ``(T, C, H, W)`` uint8 tensors and a target ``(height, width)`` and return uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from pytest_vidmetrics.media import antialias

PilFilter = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]

_SCALE = 2048.0
"""OpenCV's fixed point: 11 bits per weight."""
_TOGETHER = 16
"""Frames at a time on a GPU."""


def cv2_bilinear_uint8(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize as ``cv2.resize(..., interpolation=INTER_LINEAR)`` does on uint8: bit for bit, without antialiasing.

    ``frames`` is ``(T, C, H, W)`` uint8 on any device, ``size`` is ``(height, width)``. Returns the input itself
    when it has that size. Rule: OpenCV 4 fixed-point bilinear; both sides halved exactly is a 2x2 box mean.
    """
    _check(frames, size)
    height, width = frames.shape[2:]
    if (height, width) == tuple(size):
        return frames
    out = torch.empty((*frames.shape[:2], *size), dtype=torch.uint8, device=frames.device)
    if (height, width) == (2 * size[0], 2 * size[1]):
        for row, frame in zip(out, frames, strict=True):
            row.copy_(_halve(frame))
        return out
    columns, rows = _bilinear_taps(height, width, size, frames.device)
    # The integers in between take 8 to 12 times the memory of the frames: on a processor that of one frame.
    together = 1 if frames.device.type == "cpu" else _TOGETHER
    for some, part in zip(out.split(together), frames.split(together), strict=True):
        some.copy_(_bilinear(part, columns, rows))
    return out


def pil_resize(frames: Tensor, size: tuple[int, int], resample: PilFilter) -> Tensor:
    """Resize every frame as ``PIL.Image.resize`` does: antialiased when shrinking, rounded to uint8 per pass.

    ``frames`` is ``(T, 3, H, W)`` or ``(T, 1, H, W)`` uint8, ``size`` is ``(height, width)`` (Pillow's own order
    is the other one). The result is on the input's device; frames on a GPU stay there, except for ``"nearest"``,
    ``"box"`` and ``"hamming"``.
    """
    _check(frames, size)
    if tuple(frames.shape[2:]) == tuple(size):
        return frames
    if frames.device.type != "cpu" and resample in antialias.FILTERS:
        return antialias.resize(frames, size, resample)
    method = Image.Resampling[resample.upper()]
    out = torch.empty((*frames.shape[:2], *size), dtype=torch.uint8)
    for row, frame in zip(out, frames, strict=True):
        pixels = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())  # (H, W, C)
        image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        resized = np.array(image.resize((size[1], size[0]), method))
        row.copy_(torch.from_numpy(resized if resized.ndim == 3 else resized[:, :, None]).permute(2, 0, 1))
    return out.to(frames.device)


def _check(frames: Tensor, size: tuple[int, int]) -> None:
    if frames.ndim != 4 or frames.dtype != torch.uint8:
        raise ValueError(f"expected (T, C, H, W) uint8 frames, got {tuple(frames.shape)} {frames.dtype}")
    if min(*size, *frames.shape[2:]) < 1:
        raise ValueError(f"cannot resize {tuple(frames.shape[2:])} to {tuple(size)}")


@lru_cache(maxsize=32)
def _bilinear_taps(
    height: int, width: int, size: tuple[int, int], device: torch.device
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return, on a device, the taps of the columns, and those of the rows among the rows that are needed at all."""
    columns = _taps(width, size[1], clamp_weights=True)
    top, bottom, *weights = _taps(height, size[0], clamp_weights=False)
    # Rows that no target row needs are not resized across.
    needed, where = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    rows = needed, where[: len(top)], where[len(top) :], *weights
    return _on(columns, device), _on(rows, device)


def _on(arrays: Sequence[npt.NDArray[Any]], device: torch.device) -> tuple[Tensor, ...]:
    # The cache outlives the call: a tensor made in inference mode could not be used outside of it.
    with torch.inference_mode(False):
        return tuple(torch.from_numpy(one).to(device) for one in arrays)


def _taps(length: int, target: int, *, clamp_weights: bool) -> tuple[npt.NDArray[Any], ...]:
    """Return source positions and int32 weights of both neighbours for each target position.

    OpenCV drops the fraction beyond the left and right edges, but keeps it beyond top and bottom, where both
    neighbours are the same row; the rounding of the two differs.
    """
    position = ((np.arange(target) + 0.5) * (length / target) - 0.5).astype(np.float32)
    low = np.floor(position)
    fraction = position - low
    first = low.astype(np.int64)
    if clamp_weights:
        fraction[(first < 0) | (first >= length - 1)] = 0
    neighbours = np.clip(first, 0, length - 1), np.clip(first + 1, 0, length - 1)
    weights = np.rint((1 - fraction) * np.float32(_SCALE)), np.rint(fraction * np.float32(_SCALE))
    return *neighbours, *(one.astype(np.int32) for one in weights)


def _bilinear(frames: Tensor, columns: tuple[Tensor, ...], rows: tuple[Tensor, ...]) -> Tensor:
    left, right, left_weight, right_weight = columns
    needed, top, bottom, top_weight, bottom_weight = rows
    source = frames.index_select(-2, needed)
    across = source.index_select(-1, left).int() * left_weight + source.index_select(-1, right).int() * right_weight
    # OpenCV's steps: 4 bits off before the second product, 16 after it, the last 2 with rounding.
    across >>= 4
    upper = across.index_select(-2, top) * top_weight[:, None] >> 16
    lower = across.index_select(-2, bottom) * bottom_weight[:, None] >> 16
    return ((upper + lower + 2) >> 2).to(torch.uint8)


def _halve(frame: Tensor) -> Tensor:
    wide = frame.int()
    total = wide[:, ::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, ::2] + wide[:, 1::2, 1::2]
    return ((total + 2) >> 2).to(torch.uint8)
