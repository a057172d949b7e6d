"""Frames of a clip and of its reference, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError

if TYPE_CHECKING:
    import torch


def frame_pairs(sample: Mapping[str, Any], size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield ``(generated, reference)`` chunks of up to ``size`` frames, over the first ``min(T)`` frames.

    Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` when the frame sizes differ.
    """
    video, reference = sample["video"], sample["reference"]
    if video.shape[1] != reference.shape[1]:
        raise IncompatibleSampleError(
            f"the clip has {video.shape[1]} channels and its reference {reference.shape[1]}: convert one of them"
        )
    if video.shape[1:] != reference.shape[1:]:
        raise IncompatibleSampleError(
            f"the clip is {_size(video)} and its reference {_size(reference)}: "
            "a pixel metric needs one size (generate or rescale both alike)"
        )
    count = min(len(video), len(reference))
    if count == 0:
        raise IncompatibleSampleError("the clip or its reference has no frames")
    for start in range(0, count, size):
        end = min(start + size, count)
        yield video[start:end], reference[start:end]


def _size(frames: torch.Tensor) -> str:
    return f"{frames.shape[3]}x{frames.shape[2]}"


def pair_details(sample: Mapping[str, Any]) -> dict[str, int]:
    """Return how many frames either side has and how many were scored."""
    generated, reference = len(sample["video"]), len(sample["reference"])
    return {
        "frames_generated": generated,
        "frames_reference": reference,
        "frames_scored": min(generated, reference),
    }
