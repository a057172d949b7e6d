"""A clip as Physics-IQ compares it: quarter-size frames and masks, prepared once and shared by the metrics."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.hashing import digest_file

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Window:
    """What is scored of a clip, at which rate and size, and how its motion is found.

    ``rate`` is that of the comparison, ``own_rate`` that of the clip, both in frames per second; ``size`` is
    ``(h, w)``. ``last`` takes the last ``seconds`` instead of the first. ``times`` are those of a clip of variable
    rate, see :func:`~pytest_vidmetrics.engine.values.timing`.
    """

    size: tuple[int, int]
    rate: float = 30
    own_rate: float = 30
    seconds: float = 5
    threshold: float = 10
    alpha: float = 0.3
    last: bool = False
    times: tuple[float, ...] | None = None

    @property
    def frames(self) -> int:
        """Most frames scored."""
        return int(self.rate * self.seconds)

    @property
    def resampled(self) -> bool:
        """Whether the clip's frames are not those of the comparison."""
        return self.rate != self.own_rate or self.times is not None

    def span(self, total: int) -> tuple[int, int]:
        """Return the first frame of a clip of variable rate that lies in the window, and the one after the last."""
        from pytest_vidmetrics.media.clock import frames_before

        assert self.times is not None
        begin = max(0.0, self.times[-1] - self.seconds) if self.last else 0.0
        first = frames_before(self.times, begin)
        return first, min(total, max(first + 1, frames_before(self.times, begin + self.seconds)))

    def cut(self, frames: Tensor) -> Tensor:
        """Return the frames of the clip, or of its mask, that lie in the window, at the rate that they have."""
        if self.times is not None:
            return frames[slice(*self.span(len(frames)))]
        count = self.frames if self.rate == self.own_rate else round(self.own_rate * self.seconds)
        return frames[-count:] if self.last else frames[:count]


@dataclass(frozen=True)
class Clip:
    """``frames`` ``(T, 3, h, w)`` uint8 and ``masks`` ``(T, h, w)`` bool; ``masks_from`` is where these are from."""

    frames: Tensor
    masks: Tensor
    masks_from: Literal["given", "computed"]


def prepare(frames: Any, mask: Any, window: Window) -> Clip:
    """Return the clip of ``(T, 3, H, W)`` RGB frames, uint8 or float in [0, 1]: once per sample.

    ``mask`` is ``None`` (computed at the frames' own size), a video file, or ``(T, H, W)``, ``(T, H, W, C)`` or
    ``(T, C, H, W)`` with 0..255, [0, 1] or bool. It does not count for a clip whose rate varies or has to change: then
    the masks are those of the blended frames. Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError`.
    """
    from pytest_vidmetrics.networks.shared import once

    key = ("physics_iq", window, mask if isinstance(mask, str) else id(mask))
    return once(key, lambda: _prepare(frames, mask, window), of=frames)


def _prepare(frames: Any, mask: Any, window: Window) -> Clip:
    from pytest_vidmetrics.metrics.physics_iq.masks import motion_masks
    from pytest_vidmetrics.metrics.physics_iq.rates import resample

    whole = _rgb(frames)
    clip = window.cut(whole)
    if window.resampled:
        first, end = window.span(len(whole)) if window.times is not None else (0, 0)
        times = window.times[first:end] if window.times is not None else None
        clip, mask = resample(clip, window.own_rate, window.rate, window.seconds, times), None
    if mask is None:
        masks = motion_masks(clip, window.threshold, window.alpha)
    else:
        masks = window.cut(_mask(mask)).to(clip.device)
        if len(masks) != len(clip):
            raise IncompatibleSampleError(f"{len(masks)} mask frames for {len(clip)} video frames")
    return Clip(
        _shrunk(clip, window.size),
        # Masks are 0 and 255 before they are blended: more than half of them counts.
        _shrunk(masks[:, None], window.size)[:, 0] > 127,
        "computed" if mask is None else "given",
    )


def digest(frames: Any, mask: Any, window: Window, path: Any = None) -> str:
    """Return the sha256 of everything that the prepared clip depends on.

    With the ``path`` that the frames were decoded from, the bytes of the file stand for all frames but the first
    and the last: many times fewer.
    """
    from pytest_vidmetrics.media.recipe import DECODER_ID

    found = hashlib.sha256(repr(window).encode())
    parts = [window.cut(_rgb(frames)).permute(0, 2, 3, 1)]
    if isinstance(path, str) and Path(path).is_file():
        found.update(repr((digest_file(path), DECODER_ID, tuple(parts[0].shape))).encode())
        parts[0] = parts[0][:: max(1, len(parts[0]) - 1)]
    if mask is not None and not window.resampled:
        parts.append(window.cut(_mask(mask)))
    for part in parts:
        found.update(repr(tuple(part.shape)).encode())
        found.update(part.contiguous().cpu().numpy().data)
    return found.hexdigest()


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

    if isinstance(mask, str | os.PathLike):
        from pytest_vidmetrics.media.video import read_clip
        from pytest_vidmetrics.networks.shared import once

        mask = once(("physics_iq mask", os.fspath(mask)), lambda: read_clip(mask).frames)
    tensor = torch.as_tensor(mask)
    if tensor.ndim == 4:
        # (T, C, H, W) where the second axis can be channels, else (T, H, W, C)
        tensor = tensor[:, 0] if tensor.shape[1] in (1, 3) else tensor[..., 0]
    if tensor.ndim != 3:
        raise IncompatibleSampleError(f"expected (T, H, W) mask frames, got {tuple(tensor.shape)}")
    if tensor.dtype == torch.bool:
        return tensor
    return tensor > (0.5 if tensor.is_floating_point() else 127)


def _shrunk(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Return frames, or 255 times bool masks, resized as OpenCV does it."""
    import torch

    from pytest_vidmetrics.media.resize import cv2_bilinear_uint8

    scale = 255 if frames.dtype == torch.bool else 1
    if tuple(frames.shape[2:]) != (4 * size[0], 4 * size[1]):
        return cv2_bilinear_uint8(frames.to(torch.uint8) * scale if scale > 1 else frames, size)
    # A quarter exactly: bilinear without antialiasing is the mean of the middle four of each 4 x 4 pixels.
    out = torch.empty((len(frames), *size, frames.shape[1]), dtype=torch.uint8, device=frames.device)
    for row, frame in zip(out, frames.permute(0, 2, 3, 1), strict=True):
        lines = frame[1::4].short() + frame[2::4]
        # Four bytes fit into int16; 2 more rounds half up, as OpenCV does.
        row.copy_((lines[:, 1::4] + lines[:, 2::4]).mul_(scale).add_(2).bitwise_right_shift_(2))
    return out.permute(0, 3, 1, 2)
