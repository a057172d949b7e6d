"""Clips as arguments: coercion to :class:`Video`, loading to tensors, and what a usable tensor is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.engine.values import CLIP_KEYS

if TYPE_CHECKING:
    import torch
    from PIL import Image

_RANGE_SLACK = 0.1
"""How far outside [0, 1] the values of a decoder network may lie before they look like another scale."""


def as_video(value: Any) -> Video:
    """Return a path, a ``(T, C, H, W)`` tensor or a :class:`Video` as a :class:`Video`.

    A :class:`Video` is returned as it is. Nothing is read. Raises ``TypeError`` for anything else.
    """
    if isinstance(value, Video):
        return value
    if isinstance(value, str | os.PathLike):
        return Video(source=os.fspath(value))
    if is_tensor(value):
        return Video(source=None, frames=value)
    raise TypeError(f"Cannot coerce {type(value).__name__} to Video")


def load_video(source: str | os.PathLike[str] | torch.Tensor | list[Image.Image]) -> torch.Tensor:
    """Return a clip as ``(T, C, H, W)`` float32 in [0, 1].

    ``source`` is a video file, a GIF, a folder of images in natural order, a list of PIL images, or a tensor:
    uint8 is divided by 255, floating point is taken to be in [0, 1] already. Raises ``ValueError`` for a tensor
    that is no clip (see :func:`check_frames`) and
    :class:`~pytest_vidmetrics.core.errors.MediaError` for a file that cannot be read.
    """
    frames = check_frames(_load(source))
    return frames.float().div_(255) if not frames.is_floating_point() else frames.float()


def _load(source: Any) -> torch.Tensor:
    if is_tensor(source):
        tensor: torch.Tensor = source
        return tensor
    if isinstance(source, list):
        return _stack_images(source)
    from pytest_vidmetrics.media.video import read_clip

    return read_clip(Path(source)).frames


def _stack_images(images: list[Any]) -> torch.Tensor:
    import numpy as np
    import torch

    if not images:
        raise ValueError("an empty list of images is not a clip")
    pixels = [np.asarray(image.convert("RGB")) for image in images]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def extract_frames(video: torch.Tensor, n_frames: int | None = None) -> torch.Tensor:
    """Return ``n_frames`` evenly spaced frames of a ``(T, C, H, W)`` tensor, first and last included.

    ``None``, or as many as there are or more, returns ``video`` itself.
    """
    total = int(video.shape[0])
    if n_frames is None or n_frames >= total:
        return video
    if n_frames < 1:
        raise ValueError(f"n_frames must be at least 1, got {n_frames}")
    return video[FrameRequest(n_frames).indices(total)]


def check_frames(frames: torch.Tensor, key: str = "video") -> torch.Tensor:
    """Return ``frames`` when it is one clip: ``(T, C, H, W)``, uint8, or floating point in [0, 1].

    Raises ``ValueError``, which names ``key``, for a batch dimension, another layout, no frames, another dtype,
    and values on another scale.
    """
    shape = tuple(frames.shape)
    if frames.ndim == 5:
        raise ValueError(f"{key} has the shape {shape}: one clip (T, C, H, W) per sample, without a batch dimension")
    if frames.ndim != 4:
        raise ValueError(f"{key} has the shape {shape}: expected (T, C, H, W)")
    if frames.shape[1] not in (1, 3):
        hint = "; it looks like (T, H, W, C): permute(0, 3, 1, 2)" if shape[3] == 3 else ""
        raise ValueError(f"{key} has the shape {shape}: expected (T, C, H, W) with 1 or 3 channels{hint}")
    if not frames.numel():
        raise ValueError(f"{key} has the shape {shape}: there are no frames or no pixels")
    if frames.is_floating_point():
        _check_range(frames, key)
    elif str(frames.dtype) != "torch.uint8":
        raise ValueError(f"{key} is {frames.dtype}: expected uint8 in 0..255 or floating point in [0, 1]")
    return frames


def _check_range(frames: torch.Tensor, key: str) -> None:
    low, high = (float(value) for value in frames.aminmax())
    # Written so that NaN, which compares false with everything, is refused too.
    if not (low >= -_RANGE_SLACK and high <= 1 + _RANGE_SLACK):
        raise ValueError(
            f"{key} is {frames.dtype} with values from {low:g} to {high:g}: expected [0, 1], or uint8 in 0..255"
        )


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a tensor, without importing torch to find out that it is not."""
    return type(value).__module__.startswith("torch") and hasattr(value, "is_floating_point")


def is_array(value: Any) -> bool:
    """Whether ``value`` is a numpy array, without importing numpy to find out that it is not."""
    return type(value).__module__ == "numpy" and hasattr(value, "tobytes") and hasattr(value, "dtype")


def check_sample(sample: Mapping[str, Any]) -> None:
    """Refuse, before anything runs, clips that can never be scored. Raises ``TypeError`` or ``ValueError``."""
    for key in CLIP_KEYS:
        value = sample.get(key)
        if value is None:
            continue
        try:
            video = as_video(value)
        except TypeError:
            raise TypeError(f"{key} is a {type(value).__name__}: expected a path, a tensor or a Video") from None
        if video.frames is not None:
            check_frames(video.frames, key)
