"""Clips for metrics that need no weights, made of integers: the same bytes with every version of numpy."""

from __future__ import annotations

import numpy as np
import torch


def textured(frames: int = 10, height: int = 80, width: int = 96, seed: int = 0) -> torch.Tensor:
    """Return ``(T, 3, H, W)`` uint8: a coloured texture that moves two pixels to the right in each frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, height // 8 + 2, (width + 2 * frames) // 8 + 2))
    fine = coarse.repeat(8, axis=1).repeat(8, axis=2)
    # A box of 5 by 5 in integers: edges of some width.
    for axis in (1, 2):
        fine = sum(np.roll(fine, step, axis) for step in range(-2, 3)) // 5
    moved = [fine[:, :height, 2 * index : 2 * index + width] for index in range(frames)]
    return torch.from_numpy(np.stack(moved).astype(np.uint8))


def damaged(seed: int = 1) -> torch.Tensor:
    """Return :func:`textured` with noise, frame 3 repeated twice and frame 8 black."""
    clip = textured()
    noise = np.random.default_rng(seed).integers(-12, 13, tuple(clip.shape))
    clip = torch.from_numpy(np.clip(clip.numpy().astype(int) + noise, 0, 255).astype(np.uint8))
    clip[4], clip[5] = clip[3], clip[3]
    clip[8] = 3
    return clip
