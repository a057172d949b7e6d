"""How VBench picks, resizes and normalises frames, with the rounding of each of its loaders.

Frames come in as ``(T, 3, H, W)`` uint8 RGB. Source: Vchitect/VBench@45e79ec1, ``vbench/utils.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    import torch

SIDE = 224


def middle_indices(total: int, count: int) -> list[int]:
    """Return ``count`` frame numbers: the middle of each of ``count`` equal spans, the last repeated if too few."""
    if total < 1:
        raise ValueError("a clip without frames cannot be sampled")
    picked = FrameRequest(count, "middle").indices(total)
    return picked + picked[-1:] * (count - len(picked))


def picked(video: torch.Tensor, count: int) -> torch.Tensor:
    """Return ``count`` frames of a clip, see :func:`middle_indices`; the clip itself when it is made of them."""
    places = middle_indices(len(video), count)
    return video if places == list(range(len(video))) else video[places]


def as_uint8(video: torch.Tensor) -> torch.Tensor:
    """Return ``(T, 3, H, W)`` uint8 frames; floating point frames in [0, 1] are rounded to levels."""
    import torch

    if video.dtype == torch.uint8:
        return video
    return video.mul(255).round().clamp(0, 255).to(torch.uint8)


def chunks(video: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Yield at most ``size`` frames at a time, so that only these are held as floating point."""
    yield from as_uint8(video).split(size)


def shorter_side(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the size whose shorter side is ``side``; the other side is cut to an integer."""
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def clip_float(frames: torch.Tensor) -> torch.Tensor:
    """Return CLIP input ``(T, 3, 224, 224)``: bicubic without antialias on floats, neither rounded nor clamped."""
    return normalise(centre_crop(_resize(frames.float(), "bicubic")), CLIP_MEAN, CLIP_STD)


def clip_uint8(frames: torch.Tensor) -> torch.Tensor:
    """Return CLIP input ``(T, 3, 224, 224)``: bicubic without antialias, rounded back to 256 levels."""
    resized = _resize(frames.float(), "bicubic").clamp(0, 255).round()
    return normalise(centre_crop(resized), CLIP_MEAN, CLIP_STD)


def clip_pillow(frames: torch.Tensor) -> torch.Tensor:
    """Return CLIP input ``(T, 3, 224, 224)``: Pillow's bicubic, which always antialiases and rounds."""
    from pytest_vidmetrics.media.resize import pil_resize

    size = shorter_side(frames.shape[-2], frames.shape[-1], SIDE)
    resized = pil_resize(frames, size, "bicubic")
    return normalise(centre_crop(resized).float(), CLIP_MEAN, CLIP_STD)


def dino(frames: torch.Tensor) -> torch.Tensor:
    """Return DINO input ``(T, 3, h, w)`` with the shorter side 224: bilinear without antialias, not cropped."""
    return normalise(_resize(frames.float(), "bilinear"), IMAGENET_MEAN, IMAGENET_STD)


def normalise(frames: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """Return ``(frames / 255 - mean) / std`` per channel, in float32."""
    from pytest_vidmetrics.networks.shared import per_channel

    shift, scale = (per_channel(values, frames) for values in (mean, std))
    return (frames / 255.0 - shift) / scale


def encode(
    video: torch.Tensor,
    prepare: Callable[[torch.Tensor], torch.Tensor],
    network: Callable[[torch.Tensor], torch.Tensor],
    size: int,
) -> torch.Tensor:
    """Return the ``(T, D)`` network output of every frame, ``size`` frames at a time."""
    import torch

    return torch.cat([network(prepare(part)) for part in chunks(video, size)])


def frame_bytes(video: torch.Tensor, inside: int) -> int:
    """Return the memory that one frame takes on its way through a network that itself needs ``inside`` bytes.

    The frame is there as floats twice while it is resized.
    """
    return 2 * 4 * video[0].numel() + inside


def _resize(frames: torch.Tensor, mode: Literal["bicubic", "bilinear"]) -> torch.Tensor:
    from pytest_vidmetrics.media.interpolation import resize

    size = shorter_side(frames.shape[-2], frames.shape[-1], SIDE)
    if size == tuple(frames.shape[-2:]):
        return frames
    return resize(frames, size, mode)


def centre_crop(frames: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """Return the middle ``side x side`` pixels; an odd margin is rounded half to even."""
    height, width = frames.shape[-2:]
    top, left = round((height - side) / 2), round((width - side) / 2)
    return frames[..., top : top + side, left : left + side]
