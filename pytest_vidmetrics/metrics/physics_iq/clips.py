"""A clip as Physics-IQ compares it: quarter-size frames and masks, prepared once and shared by the metrics."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError

if TYPE_CHECKING:
    from torch import Tensor

_SHARED = 6
"""Prepared clips kept: generated, two takes, and the same of the sample before."""
_clips: OrderedDict[str, Clip] = OrderedDict()


@dataclass(frozen=True)
class Window:
    """What is scored of a clip and how its motion is found."""

    target_fps: float = 30
    duration_seconds: float = 5
    threshold: float = 10
    alpha: float = 0.3

    @property
    def frames(self) -> int:
        """Most frames scored."""
        return int(self.target_fps * self.duration_seconds)


@dataclass(frozen=True)
class Clip:
    """Quarter-size ``frames`` ``(T, 3, h, w)`` uint8 and ``masks`` ``(T, h, w)`` bool; ``key`` names the content."""

    key: str
    frames: Tensor
    masks: Tensor


def prepare(frames: Any, mask: Any, size: tuple[int, int], window: Window, *, last: bool = False) -> Clip:
    """Return the clip of ``(T, 3, H, W)`` uint8 RGB frames at ``size`` ``(h, w)``.

    ``mask`` is ``None`` (computed at the frames' own size), a video file, or
    ``(T, H, W)``, ``(T, H, W, C)`` or ``(T, C, H, W)``
    with 0..255 or bool. ``last`` takes the last frames of the window instead of the first.
    Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError`.
    """
    import torch

    from pytest_vidmetrics.media.resize import cv2_bilinear_uint8

    frames = _rgb(frames)[-window.frames :] if last else _rgb(frames)[: window.frames]
    given = None if mask is None else _mask(mask)
    if given is not None:
        given = given[-window.frames :] if last else given[: window.frames]
        if len(given) != len(frames):
            raise IncompatibleSampleError(f"{len(given)} mask frames for {len(frames)} video frames")
    key = _key(frames, given, size, window)
    if key in _clips:
        _clips.move_to_end(key)
        return _clips[key]
    from pytest_vidmetrics.metrics.physics_iq.masks import motion_masks

    if given is None:
        given = motion_masks(frames, window.threshold, window.alpha)
    full = given[:, None].to(torch.uint8) * 255
    clip = Clip(key, cv2_bilinear_uint8(frames, size), cv2_bilinear_uint8(full, size)[:, 0] > 127)
    _clips[key] = clip
    while len(_clips) > _SHARED:
        _clips.popitem(last=False)
    return clip


def _rgb(frames: Any) -> Tensor:
    import torch

    tensor = torch.as_tensor(frames)
    if tensor.ndim != 4 or tensor.shape[1] != 3 or not len(tensor):
        raise IncompatibleSampleError(f"expected (T, 3, H, W) RGB frames, got {tuple(tensor.shape)}")
    if tensor.is_floating_point():
        tensor = (tensor * 255).round().clamp(0, 255)
    return tensor.to(torch.uint8)


def _mask(mask: Any) -> Tensor:
    import torch

    if isinstance(mask, str):
        from pytest_vidmetrics.media.video import read_clip

        mask = read_clip(mask).frames
    tensor = torch.as_tensor(mask)
    if tensor.ndim == 4:
        tensor = tensor[:, 0] if tensor.shape[1] in (1, 3) else tensor[..., 0]
    if tensor.ndim != 3:
        raise IncompatibleSampleError(f"expected (T, H, W) mask frames, got {tuple(tensor.shape)}")
    if tensor.dtype == torch.bool:
        return tensor
    return tensor > (0.5 if tensor.is_floating_point() else 127)


def _key(frames: Tensor, mask: Tensor | None, size: tuple[int, int], window: Window) -> str:
    digest = hashlib.sha256(repr((tuple(frames.shape), str(frames.device), size, window)).encode())
    for part in (frames, mask):
        if part is not None:
            digest.update(part.contiguous().cpu().numpy().data)
    return digest.hexdigest()
