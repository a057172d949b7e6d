"""Resizing of uint8 frames with the exact integers of the libraries that published metrics use.

All functions take ``(T, C, H, W)`` uint8 tensors and a target ``(height, width)`` and return uint8.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PilFilter = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]

_SCALE = 2048.0
"""OpenCV's fixed point: 11 bits per weight."""


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
    columns = _taps(width, size[1], clamp_weights=True, device=frames.device)
    rows = _taps(height, size[0], clamp_weights=False, device=frames.device)
    # One frame at a time: the integers in between take 8 to 12 times the memory of the frame.
    for row, frame in zip(out, frames, strict=True):
        row.copy_(_bilinear(frame, columns, rows))
    return out


def pil_resize(frames: Tensor, size: tuple[int, int], resample: PilFilter) -> Tensor:
    """Resize every frame as ``PIL.Image.resize`` does: antialiased when shrinking, rounded to uint8 per pass.

    ``frames`` is ``(T, 3, H, W)`` or ``(T, 1, H, W)`` uint8, ``size`` is ``(height, width)`` (Pillow's own order
    is the other one). The result is on the CPU of the input's device.
    """
    _check(frames, size)
    if tuple(frames.shape[2:]) == tuple(size):
        return frames
    method = Image.Resampling[resample.upper()]
    out = torch.empty((*frames.shape[:2], *size), dtype=torch.uint8)
    for row, frame in zip(out, frames, strict=True):
        pixels = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
        image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        resized = np.array(image.resize((size[1], size[0]), method))
        row.copy_(torch.from_numpy(resized if resized.ndim == 3 else resized[:, :, None]).permute(2, 0, 1))
    return out.to(frames.device)


def _check(frames: Tensor, size: tuple[int, int]) -> None:
    if frames.ndim != 4 or frames.dtype != torch.uint8:
        raise ValueError(f"expected (T, C, H, W) uint8 frames, got {tuple(frames.shape)} {frames.dtype}")
    if min(*size, *frames.shape[2:]) < 1:
        raise ValueError(f"cannot resize {tuple(frames.shape[2:])} to {tuple(size)}")


def _taps(length: int, target: int, *, clamp_weights: bool, device: torch.device) -> tuple[Tensor, ...]:
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
    arrays = (*neighbours, *(w.astype(np.int32) for w in weights))
    return tuple(torch.from_numpy(a).to(device) for a in arrays)


def _bilinear(frame: Tensor, columns: tuple[Tensor, ...], rows: tuple[Tensor, ...]) -> Tensor:
    left, right, left_weight, right_weight = columns
    top, bottom, top_weight, bottom_weight = rows
    needed, where = torch.unique(torch.cat([top, bottom]), return_inverse=True)
    source = frame.index_select(1, needed)
    across = source.index_select(2, left).int() * left_weight + source.index_select(2, right).int() * right_weight
    across >>= 4
    upper = across.index_select(1, where[: len(top)]) * top_weight[:, None] >> 16
    lower = across.index_select(1, where[len(top) :]) * bottom_weight[:, None] >> 16
    return ((upper + lower + 2) >> 2).to(torch.uint8)


def _halve(frame: Tensor) -> Tensor:
    wide = frame.int()
    total = wide[:, ::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, ::2] + wide[:, 1::2, 1::2]
    return ((total + 2) >> 2).to(torch.uint8)
