"""Looking up all-pairs correlations around where flow points: what RAFT and AMT do in every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from pytest_vidmetrics.networks import shared

MOST_MAPS = (1 << 16) - 1
"""Most maps that cuDNN samples in one call: it refuses 65,536 (pytorch#88380)."""


def pyramid(first: torch.Tensor, second: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Return the correlation of every cell of ``(N, C, h, w)`` features with every other, at ``levels`` sizes.

    Level ``i`` is ``(N * h * w, 1, h / 2**i, w / 2**i)``. The largest is scaled in place: it is held once, not twice.
    """
    count, channels, height, width = second.shape
    volume = torch.matmul(first.flatten(2).transpose(1, 2), second.flatten(2)).div_(channels**0.5)
    found = [volume.view(count * height * width, 1, height, width)]
    while len(found) < levels:
        found.append(F.avg_pool2d(found[-1], 2))
    return found


def positions(like: torch.Tensor) -> torch.Tensor:
    """Return the ``(1, 2, h, w)`` column and row of every cell of ``(N, C, h, w)`` features, in their dtype."""
    height, width = like.shape[-2:]

    def make() -> torch.Tensor:
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        return torch.stack([columns, rows])[None].to(like.dtype)

    return shared.table("positions", like.device, make, height, width, like.dtype)


def look_up(levels: Sequence[torch.Tensor], centres: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the ``(N, levels * (2 * radius + 1)**2, h, w)`` correlations in windows around ``centres``.

    ``levels`` are maps of one channel, one per cell of ``(N, 2, h, w)`` centres, which are columns and rows of the
    finest level. The published networks were trained with windows whose first axis moves along x.
    """
    count, _, height, width = centres.shape
    flat = centres.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    found = []
    for i, maps in enumerate(levels):
        grid = _exact_grid(flat, i, maps, radius) if flat.device.type == "cpu" else fused_grid(flat, i, maps, radius)
        found.append(_sampled(maps, grid).view(count, height, width, -1))
    return torch.cat(found, dim=-1).permute(0, 3, 1, 2)


def _exact_grid(flat: torch.Tensor, level: int, maps: torch.Tensor, radius: int) -> torch.Tensor:
    """Return where the windows of a level lie, as ``grid_sample`` counts, with the rounding of the published code."""
    extent = torch.tensor([maps.shape[-1] - 1, maps.shape[-2] - 1], dtype=flat.dtype)
    return 2 * (flat / 2**level + _window(radius, flat.dtype)) / extent - 1


def fused_grid(flat: torch.Tensor, level: int, maps: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the same in one pass over memory: a grid takes 40 times the memory of the centres.

    It rounds once where the published code rounds four times.
    """
    height, width = maps.shape[-2:]

    def scale() -> torch.Tensor:
        return torch.tensor([2 / (width - 1) / 2**level, 2 / (height - 1) / 2**level], dtype=flat.dtype)

    def offset() -> torch.Tensor:
        extent = torch.tensor([width - 1, height - 1], dtype=torch.float64)
        return (2 * _window(radius, torch.float64) / extent - 1).to(flat.dtype)

    key = (level, height, width, radius, flat.dtype)
    return torch.addcmul(
        shared.table("window offset", flat.device, offset, *key),
        flat,
        shared.table("window scale", flat.device, scale, *key),
    )


def _window(radius: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the ``(n, n, 2)`` steps of a window of ``n = 2 * radius + 1`` cells a side."""
    steps = torch.arange(-radius, radius + 1, dtype=dtype)
    return torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)


def _sampled(maps: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Return ``(M, 1, n, n)`` bilinear samples of ``M`` maps, no more in a call than cuDNN takes."""
    parts = zip(maps.split(MOST_MAPS), grid.split(MOST_MAPS), strict=True)
    found = [F.grid_sample(some, places, align_corners=True) for some, places in parts]
    return found[0] if len(found) == 1 else torch.cat(found)
