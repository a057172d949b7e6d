"""Looking up all-pairs correlations around where flow points: what RAFT and AMT do in every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.one_pass import OnePass

MOST_MAPS = (1 << 16) - 1
"""Most maps that cuDNN samples in one call: it refuses 65,536 (pytorch#88380)."""


def pyramid(first: torch.Tensor, second: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Return the correlation of every cell of ``(N, C, h, w)`` features with every other, at ``levels`` sizes.

    Level ``i`` is ``(N * h * w, 1, h / 2**i, w / 2**i)``. The features are halved, not the correlations, which are many
    times larger: their means over four cells are the correlations with the mean feature.
    """
    count, channels, height, width = second.shape
    # (N, h * w, C); the scale goes to the features, which are fewer than the correlations
    queries = (first * channels**-0.5).flatten(2).transpose(1, 2)
    sizes = [second]
    while len(sizes) < levels:
        sizes.append(F.avg_pool2d(sizes[-1], 2))
    return [torch.matmul(queries, one.flatten(2)).view(count * height * width, 1, *one.shape[-2:]) for one in sizes]


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
    finest level. The published networks were trained with windows whose first axis moves along x. The channels of a
    cell lie together in memory.
    """
    count, _, height, width = centres.shape
    # (N * h * w, 1, 1, 2): one map and one centre for each cell
    flat = centres.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    if flat.device.type == "cpu":
        grids = [_exact_grid(flat, i, maps, radius) for i, maps in enumerate(levels)]
        windows = torch.cat([_sampled(*one).flatten(1) for one in zip(levels, grids, strict=True)], dim=-1)
    else:
        places = (2 * radius + 1) ** 2
        windows = flat.new_empty((len(flat), len(levels) * places))
        for i, maps in enumerate(levels):
            part = windows[:, i * places : (i + 1) * places]
            _in_one_pass(maps, *_grid_tables(flat, i, maps, radius), flat, part)
    # (N, levels * n * n, h, w), a view: the channels of a cell stay together
    return windows.view(count, height, width, -1).permute(0, 3, 1, 2)


def _windows(
    maps: torch.Tensor, offset: torch.Tensor, scale: torch.Tensor, flat: torch.Tensor, out: torch.Tensor
) -> None:
    # Not F.grid_sample: on a GPU that asks cuDNN, which torch does not compile.
    out.copy_(torch.grid_sampler_2d(maps, torch.addcmul(offset, flat, scale), 0, 0, True).flatten(1))


def _windows_in_parts(
    maps: torch.Tensor, offset: torch.Tensor, scale: torch.Tensor, flat: torch.Tensor, out: torch.Tensor
) -> None:
    out.copy_(_sampled(maps, torch.addcmul(offset, flat, scale)).flatten(1))


_in_one_pass = OnePass(_windows, plain=_windows_in_parts)
"""All levels together would be two kernels, the first of which writes what the second lays side by side."""


def _exact_grid(flat: torch.Tensor, level: int, maps: torch.Tensor, radius: int) -> torch.Tensor:
    """Return where the windows of a level lie, as ``grid_sample`` counts, with the rounding of the published code."""
    extent = torch.tensor([maps.shape[-1] - 1, maps.shape[-2] - 1], dtype=flat.dtype)
    return 2 * (flat / 2**level + _window(radius, flat.dtype)) / extent - 1


def _grid_tables(flat: torch.Tensor, level: int, maps: torch.Tensor, radius: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two constants with which one multiplication and one addition give the same.

    A grid takes 40 times the memory of the centres. It is rounded once where the published code rounds four times.
    """
    height, width = maps.shape[-2:]

    def scale() -> torch.Tensor:
        return torch.tensor([2 / (width - 1) / 2**level, 2 / (height - 1) / 2**level], dtype=flat.dtype)

    def offset() -> torch.Tensor:
        extent = torch.tensor([width - 1, height - 1], dtype=torch.float64)
        # In float64, so that the constant is rounded once.
        return (2 * _window(radius, torch.float64) / extent - 1).to(flat.dtype)

    key = (level, height, width, radius, flat.dtype)
    tables = (("window offset", offset), ("window scale", scale))
    found = [shared.table(name, flat.device, make, *key) for name, make in tables]
    return found[0], found[1]


def _window(radius: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the ``(n, n, 2)`` steps of a window of ``n = 2 * radius + 1`` cells a side."""
    steps = torch.arange(-radius, radius + 1, dtype=dtype)
    return torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)


def _sampled(maps: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Return ``(M, 1, n, n)`` bilinear samples of ``M`` maps, no more in a call than cuDNN takes."""
    parts = zip(maps.split(MOST_MAPS), grid.split(MOST_MAPS), strict=True)
    found = [F.grid_sample(some, places, align_corners=True) for some, places in parts]
    return found[0] if len(found) == 1 else torch.cat(found)
