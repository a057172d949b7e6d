"""Optical flow of a clip by one of several networks: computed once per sample, a few pairs of frames at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_vidmetrics.backbones import dpflow, raft_things, shared
from pytest_vidmetrics.core.checkpoints import Checkpoint

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, tuple[Any, ...]]]
"""``(n, 3, H, W)`` uint8 RGB frames to ``(n - 1, 2, h, w)`` float32 flow in pixels and the index of the clip in it."""

VOLUME_LIMIT = 1 << 28
"""Most elements of a batch of correlation volumes: one pair of 720p frames takes 1.1 GB with its pyramid."""
LARGEST = 0.05


@dataclass(frozen=True)
class FlowModel:
    """Which network, trained on what: part of the identity of every score.

    ``"raft_large"`` (``"things"``; arXiv 2003.12039) comes with torchvision. ``"dpflow"`` (arXiv 2503.14880) needs
    the library ptlflow. Raises ``ValueError`` for another name.
    """

    model_name: str = "raft_large"
    ckpt: str = "things"

    def __post_init__(self) -> None:
        """Check the names."""
        known = {"raft_large": ("things",), "dpflow": tuple(dpflow.CHECKPOINTS)}
        if self.model_name not in known:
            raise ValueError(f"model_name is one of {', '.join(known)}, not {self.model_name!r}")
        if self.ckpt not in known[self.model_name]:
            raise ValueError(f"ckpt of {self.model_name} is one of {known[self.model_name]}, not {self.ckpt!r}")

    def checkpoint(self) -> Checkpoint:
        """Return the weights."""
        return raft_things.RAFT_THINGS if self.model_name == "raft_large" else dpflow.CHECKPOINTS[self.ckpt]

    def load(self, device: torch.device | str, metric: str | None = None) -> Forward:
        """Return the shared network on a device; ``metric`` is who asks, for the error message.

        Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` without the weights or the library.
        """
        if self.model_name == "raft_large":
            return padded(raft_things.load(self.checkpoint(), device, metric))
        return dpflow.load(self.checkpoint(), device, metric)

    def smallest(self) -> int:
        """Return the fewest pixels a side of a frame may have."""
        return raft_things.SMALLEST - raft_things.DIVISOR + 1 if self.model_name == "raft_large" else 16


def padded(network: Callable[[torch.Tensor], torch.Tensor]) -> Forward:
    """Return RAFT for frames of any size: their edges are repeated up to multiples of 8."""

    def run(frames: torch.Tensor) -> tuple[torch.Tensor, tuple[Any, ...]]:
        wide, inside = raft_things.pad(frames.float())
        return network(wide), inside

    return run


class ClipFlow:
    """Flow from each frame of a clip to the next, computed in order as it is asked for.

    ``video`` is ``(T, 3, H, W)`` uint8. Fields are kept in float16: a component is off by at most 1/2048 of itself.
    """

    def __init__(self, video: torch.Tensor, forward: Forward, chunk_size: int, *, keep: bool = True) -> None:
        self._video, self._forward, self._keep = video, forward, keep
        self._step = pairs_at_once(chunk_size, video.shape[-2], video.shape[-1])
        self._fields: list[npt.NDArray[np.float16]] = []
        self._motion: list[tuple[float, float]] = []

    def __len__(self) -> int:
        """How many pairs of consecutive frames there are."""
        return max(0, len(self._video) - 1)

    def field(self, pair: int) -> npt.NDArray[np.float16]:
        """Return the ``(H, W, 2)`` flow in pixels of one pair."""
        self._until(pair)
        return self._fields[pair]

    def motion(self, pair: int) -> tuple[float, float]:
        """Return the largest motion of one pair in pixels: over the padded frame, and inside the frame."""
        self._until(pair)
        return self._motion[pair]

    def _until(self, pair: int) -> None:
        while len(self._motion) <= pair:
            start = len(self._motion)
            flow, inside = self._forward(self._video[start : start + self._step + 1])
            cut = flow[inside]
            whole = largest_motion(flow)
            self._motion += zip(whole, whole if cut.shape == flow.shape else largest_motion(cut), strict=True)
            if self._keep:
                self._fields += list(cut.permute(0, 2, 3, 1).to(torch.float16).cpu().contiguous().numpy())


def clip_flow(
    video: torch.Tensor, model: FlowModel, forward: Forward, device: torch.device | str, chunk_size: int
) -> ClipFlow:
    """Return the flow of a clip, which all metrics of one sample share that use the same network."""
    key = ("flow", model.model_name, model.ckpt, str(device))
    return shared.once(key, lambda: ClipFlow(video, forward, chunk_size), of=video)


def pairs_at_once(chunk_size: int, height: int, width: int) -> int:
    """Return how many pairs of frames go through a network together: no more than memory allows."""
    cells = -(-height // 8) * -(-width // 8)
    return max(1, min(chunk_size, VOLUME_LIMIT // cells**2))


def largest_motion(flow: torch.Tensor) -> list[float]:
    """Return, for each ``(2, H, W)`` flow, the mean of the largest 5 % of its magnitudes."""
    magnitude = flow.square().sum(dim=1).sqrt().flatten(1)
    taken = int(LARGEST * magnitude.shape[1])
    values: list[float] = magnitude.topk(taken, dim=1).values.double().mean(dim=1).tolist()
    return values
