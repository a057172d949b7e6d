"""Frames as the vision tower takes them: resized once, normalised, cut into patches of two frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from pytest_vidmetrics.media.resize import pil_resize
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.qwen.sizes import MOST, Size, clip_size, fastvideo_sizes, picture_size
from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD

PATCH, PAIR, MERGE = 14, 2, 2
"""Pixels a side of a patch, frames of a patch, and patches a side that are merged into one token."""


@dataclass(frozen=True)
class Seen:
    """A clip or a picture as the network sees it.

    ``rows`` is ``(t * h * w, 1176)`` float32, one row a patch; ``grid`` is ``(t, h, w)`` in patches;
    ``seconds`` is how much time each step of ``t`` stands for (``None`` for a picture).
    """

    rows: torch.Tensor
    grid: tuple[int, int, int]
    seconds: float | None

    @property
    def tokens(self) -> int:
        """How many tokens of the prompt stand for it."""
        t, h, w = self.grid
        return t * h * w // (MERGE * MERGE)


def resized(frames: torch.Tensor, size: Size) -> torch.Tensor:
    """Return ``(T, 3, H, W)`` uint8 frames in another size: bicubic with antialiasing in float32, rounded to uint8.

    One frame at a time: the floats of a clip would take four times its memory, and more in between.
    Source: ``torchvision.transforms.functional.resize`` as qwen-vl-utils calls it (equal bit for bit on one machine;
    machines differ by at most one level).
    """
    if tuple(frames.shape[-2:]) == size:
        return frames
    out = torch.empty((len(frames), 3, *size), dtype=torch.uint8, device=frames.device)
    for row, frame in zip(out, frames, strict=True):
        wide = F.interpolate(frame[None].float(), size, mode="bicubic", antialias=True, align_corners=False)
        row.copy_(wide[0].clamp_(0, 255).round_())
    return out


def clip_frames(frames: torch.Tensor, most: int = MOST) -> torch.Tensor:
    """Return the chosen ``(T, 3, H, W)`` uint8 frames of a clip in the size that the path rule gives them."""
    size = (int(frames.shape[-2]), int(frames.shape[-1]))
    return resized(frames, clip_size(size, len(frames), most))


def fastvideo_frames(frames: torch.Tensor) -> torch.Tensor:
    """Return the chosen ``(T, 3, H, W)`` uint8 frames as FastVideo's three resizes leave them; ``T`` becomes even."""
    frames = even(frames)
    capped, bent, last = fastvideo_sizes((int(frames.shape[-2]), int(frames.shape[-1])), len(frames))
    return resized(pil_resize(pil_resize(frames, capped, "lanczos"), bent, "bicubic"), last)


def picture(image: torch.Tensor) -> Seen:
    """Return a ``(3, H, W)`` uint8 picture as the network sees it."""
    frames = image[None]
    frames = resized(frames, picture_size((int(frames.shape[-2]), int(frames.shape[-1]))))
    # A still picture is a pair of equal frames to the network.
    return _seen(frames.repeat(PAIR, 1, 1, 1), None)


def clip(frames: torch.Tensor, seconds: float) -> Seen:
    """Return resized ``(T, 3, H, W)`` uint8 frames as the network sees them; the last of an odd number is repeated.

    ``seconds`` is how much time a pair of frames stands for.
    """
    return _seen(even(frames), seconds)


def even(frames: torch.Tensor) -> torch.Tensor:
    """Return the frames with the last one repeated where their number is odd."""
    return torch.cat([frames, frames[-1:]]) if len(frames) % PAIR else frames


def _seen(frames: torch.Tensor, seconds: float | None) -> Seen:
    wide = frames.float()
    # 255 times, as frames are not divided.
    mean, std = (255 * shared.per_channel(values, wide) for values in (CLIP_MEAN, CLIP_STD))
    t, h, w = len(frames) // PAIR, frames.shape[-2] // PATCH, frames.shape[-1] // PATCH
    values = ((wide - mean) / std).reshape(t, PAIR, 3, h // MERGE, MERGE, PATCH, w // MERGE, MERGE, PATCH)
    # From frame, channel, row, column to: pair, merged row and column, place in the merged block, then the patch.
    ordered = values.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return Seen(ordered.reshape(t * h * w, 3 * PAIR * PATCH * PATCH), (t, h, w), seconds)
