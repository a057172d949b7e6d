"""What ImageBind's vision tower reads: pairs of frames of a clip, resized, normalised and cropped three times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F

from pytest_vidmetrics.media.clock import frames_before
from pytest_vidmetrics.networks.imagebind.audio import CLIP_SECONDS, starts
from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD

CLIPS = 5
CROPS = 3
SIDE = 224
_PERIOD = 2.0
"""Seconds between frames in av-benchmark."""
_SLACK = 1e-9

Pairs = list[tuple[int, int]]


def clip_ends(total: int, fps: float, times: Sequence[float] | None = None) -> Pairs:
    """Return the first and last frame of each of 5 clips of 2 s, for a video of ``total`` frames.

    In floating point like the loader whose frames are to be met: the same frame may be lost to rounding. ``times``
    are those of a variable rate: when each frame begins, and when the last one ends.
    """
    pairs = []
    if times is not None:
        for begin in starts(times[-1], CLIPS):
            last = max(0, frames_before(times, float(begin + CLIP_SECONDS)) - 1)
            pairs.append((min(frames_before(times, float(begin)), last), last))
        return pairs
    for begin in starts(total / fps, CLIPS):
        first = math.ceil(fps * float(begin))
        last = min(math.ceil(fps * float(begin + CLIP_SECONDS)), total) - 1
        # Below one frame per second a clip may begin after its last frame.
        pairs.append((min(first, last), last))
    return pairs


def half_hertz_pairs(total: int, fps: float, seconds: float, times: Sequence[float] | None = None) -> Pairs:
    """Return pairs of consecutive frames of ``seconds`` of a video sampled every 2 s; none for less than 4 s.

    Sampled as FFmpeg's frame-rate filter does: the last frame before 1, 3, 5, ... s.
    """
    # Moments in the middle of each period.
    moments = [_PERIOD * i + _PERIOD / 2 for i in range(math.floor(seconds / _PERIOD + _SLACK))]
    if times is not None:
        ends = [frames_before(times, moment) - 1 for moment in moments]
    else:
        ends = [math.ceil(fps * moment - _SLACK) - 1 for moment in moments]
    return list(pairwise(min(max(0, end), total - 1) for end in ends))


def views(frames: torch.Tensor, pairs: Pairs, *, antialias: bool = False) -> torch.Tensor:
    """Return ``(3 * len(pairs), 3, 2, 224, 224)`` float32 for ``(T, 3, H, W)`` uint8 frames, crops of a pair in turn.

    The shorter side becomes 224, bilinear without antialiasing (``antialias``: bicubic with it, on 256 levels).
    """
    numbers = sorted({number for pair in pairs for number in pair})
    # Frames that several clips share are resized once.
    row = {number: i for i, number in enumerate(numbers)}
    sized = _resized_levels(frames[numbers]) if antialias else _resized(frames[numbers])
    mean, std = (sized.new_tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    ready = (sized - mean) / std
    stacked = [
        # (3, 2, 224, 224): colour before time
        ready[[row[first], row[last]], :, top : top + SIDE, left : left + SIDE].transpose(0, 1)
        for first, last in pairs
        for top, left in _corners(*ready.shape[2:])
    ]
    return torch.stack(stacked)


def _resized(frames: torch.Tensor) -> torch.Tensor:
    height, width = frames.shape[2:]
    # In this order, as the reference rounds: 224 * (long / short) may fall short of the whole number.
    tall, wide = math.floor(height / width * SIDE), math.floor(width / height * SIDE)
    size = (SIDE, wide) if width >= height else (tall, SIDE)
    return F.interpolate(frames.float() / 255, size=size, mode="bilinear", align_corners=False)


def _resized_levels(frames: torch.Tensor) -> torch.Tensor:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    resized = functional.resize(frames, [SIDE], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return resized.float() / 255


def _corners(height: int, width: int) -> list[tuple[int, int]]:
    """Return the top left corners of three squares along the long side: its start, middle and end."""
    middle_top, middle_left = math.ceil((height - SIDE) / 2), math.ceil((width - SIDE) / 2)
    if height > width:
        return [(top, middle_left) for top in (0, middle_top, height - SIDE)]
    return [(middle_top, left) for left in (0, middle_left, width - SIDE)]
