"""Ten ways to damage a small clip, for metrics that compare it with what it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.support.clips import noisy, scene

Frames = np.ndarray


def reference() -> Frames:
    """Return the undamaged clip, ``(8, 48, 64, 3)`` uint8."""
    return scene(3)


def _held(frames: Frames) -> Frames:
    return np.concatenate([frames[:3], np.repeat(frames[3:4], 5, axis=0)])


def _flickering(frames: Frames) -> Frames:
    levels = np.where(np.arange(len(frames)) % 2, 10, -10)[:, None, None, None]
    return np.clip(frames + levels, 0, 255).astype(np.uint8)


def _blurred(frames: Frames) -> Frames:
    wide = np.pad(frames.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = frames.shape[1:3]
    parts = [wide[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.rint(sum(parts) / 9).astype(np.uint8)


def _blocks(frames: Frames) -> Frames:
    return np.repeat(np.repeat(frames[:, ::4, ::4], 4, axis=1), 4, axis=2)


DISTORTIONS: dict[str, Callable[[Frames], Frames]] = {
    "none": lambda frames: frames,
    "faint noise": lambda frames: noisy(frames, 2.0),
    "noise": lambda frames: noisy(frames, 15.0),
    "flicker": _flickering,
    "freeze": _held,
    "blur": _blurred,
    "blocks": _blocks,
    "banding": lambda frames: frames // 32 * 32 + 16,
    "red": lambda frames: np.clip(frames + np.array([20, 0, 0]), 0, 255).astype(np.uint8),
    "backwards": lambda frames: frames[::-1].copy(),
}
