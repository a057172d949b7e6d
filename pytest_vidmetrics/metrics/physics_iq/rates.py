"""Frame rates of Physics-IQ: a recording at another rate is blended to that of the generated clip, as upstream does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError

if TYPE_CHECKING:
    from torch import Tensor

_SAME = 0.05
"""Frames per second by which two rates may differ and still be one: headers say 29.97 for 30."""


def rate_of(sample: Mapping[str, Any], key: str, otherwise: float) -> float:
    """Return the frames per second of one clip of a sample: ``fps`` for ``video``, else ``<key>_fps``.

    ``otherwise`` is returned when nothing says, and for a rate that is nearly the same. Raises
    :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for one that is not above 0.
    """
    given = sample.get("fps" if key == "video" else f"{key}_fps")
    if given is None:
        return otherwise
    rate = float(given)
    if not 0 < rate < float("inf"):
        raise IncompatibleSampleError(f"the frame rate of {key} must be above 0, got {rate:g}")
    return otherwise if abs(rate - otherwise) <= _SAME else rate


def resample(
    frames: Tensor, source: float, target: float, seconds: float, times: Sequence[float] | None = None
) -> Tensor:
    """Return the first ``seconds`` of ``(T, 3, H, W)`` uint8 frames at another rate.

    Each new frame is the linear blend of its two neighbours in float32, truncated to uint8; first and last frame
    stay what they are. Source: the benchmark's ``fps_changer.py``. ``times``: when each frame is shown, for a clip of
    variable rate, which is brought to a constant one (not in the benchmark).
    """
    import numpy as np
    import torch

    if times is None:
        frames = frames[: max(1, round(seconds * source))]
    # The product may lie just below the whole number that it stands for.
    count = max(1, int(len(frames) / source * target + 1e-6))
    spread = None
    if times is not None:
        count = max(1, min(int(seconds * target), round((times[-1] - times[0]) * target) + 1))
        moments = np.linspace(times[0], times[-1], count)
        spread = np.interp(moments, times, np.arange(len(frames))).tolist()
    out = torch.empty((count, *frames.shape[1:]), dtype=torch.uint8, device=frames.device)
    for number, frame in enumerate(out):
        # The first and the last frame of both rates are the same.
        position = spread[number] if spread else number * (len(frames) - 1) / max(1, count - 1)
        low = int(position)
        weight = position - low
        ahead = frames[min(low + 1, len(frames) - 1)].float().mul_(weight)
        frame.copy_(frames[low].float().mul_(1 - weight).add_(ahead).to(torch.uint8))
    return out
