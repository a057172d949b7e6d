"""Ways to damage a clip, each in four strengths, on (T, H, W, 3) uint8 frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

Frames = np.ndarray


def blur(frames: Frames, strength: int) -> Frames:
    """Gaussian blur of 0.7, 1.2, 2 and 3.5 pixels."""
    sigma = (0.7, 1.2, 2.0, 3.5)[strength - 1]
    return gaussian_filter(frames.astype(np.float32), (0, sigma, sigma, 0)).round().astype(np.uint8)


def noise(frames: Frames, strength: int) -> Frames:
    """Gaussian noise of 4, 8, 16 and 32 grey levels, a fixed pattern a strength."""
    rng = np.random.Generator(np.random.PCG64(7))
    return np.clip(frames + rng.normal(0, 2.0 ** (strength + 1), frames.shape), 0, 255).astype(np.uint8)


def blocking(frames: Frames, strength: int) -> Frames:
    """Blend 8x8 blocks with their mean by 25, 50, 75 and 100 %, as coarse JPEG quantisation does."""
    count, height, width, channels = frames.shape
    h, w = height // 8 * 8, width // 8 * 8
    tiles = frames[:, :h, :w].astype(np.float32).reshape(count, h // 8, 8, w // 8, 8, channels)
    flat = np.broadcast_to(tiles.mean(axis=(2, 4), keepdims=True), tiles.shape)
    out = frames.copy()
    share = strength / 4
    out[:, :h, :w] = ((1 - share) * tiles + share * flat).round().reshape(count, h, w, channels)
    return out


def drop(frames: Frames, strength: int) -> Frames:
    """Replace every 8th, 4th, 3rd or 2nd frame by the one before it: dropped frames, same length."""
    step = (8, 4, 3, 2)[strength - 1]
    index = np.arange(len(frames))
    return frames[np.where(index % step == step - 1, index - 1, index)]


def freeze(frames: Frames, strength: int) -> Frames:
    """Hold the frame at the end of the first 80, 60, 40 and 20 %."""
    last = round(len(frames) * (1 - 0.2 * strength)) - 1
    return frames[np.minimum(np.arange(len(frames)), max(0, last))]


def shuffle(frames: Frames, strength: int) -> Frames:
    """Shuffle frames inside windows of 2, 4, 8 frames and of the whole clip."""
    rng = np.random.Generator(np.random.PCG64(11))
    window = (2, 4, 8, len(frames))[strength - 1]
    order = np.arange(len(frames))
    for start in range(0, len(frames), window):
        part = order[start : start + window]
        order[start : start + window] = part[::-1] if window == 2 else rng.permutation(part)
    return frames[order]


def speed_up(frames: Frames, strength: int) -> Frames:
    """Play 1.25, 1.5, 2 and 3 times as fast, running back and forth to keep the length."""
    rate = (1.25, 1.5, 2.0, 3.0)[strength - 1]
    index = np.floor(np.arange(len(frames)) * rate).astype(int) % (2 * len(frames) - 2)
    return frames[np.minimum(index, 2 * len(frames) - 2 - index)]


def colour_shift(frames: Frames, strength: int) -> Frames:
    """Raise red and lower blue by 6, 12, 24 and 48 grey levels."""
    shift = 3 * 2**strength
    return np.clip(frames.astype(np.int16) + np.array([shift, 0, -shift]), 0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, Callable[[Frames, int], Frames]] = {
    "blur": blur,
    "noise": noise,
    "blocking": blocking,
    "frame drop": drop,
    "freeze": freeze,
    "temporal shuffle": shuffle,
    "speed-up": speed_up,
    "colour shift": colour_shift,
}
