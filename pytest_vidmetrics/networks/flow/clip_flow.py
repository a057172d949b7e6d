"""Optical flow of a clip by one of several networks: computed once per pair of frames, a few pairs at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy.typing as npt
import torch

from pytest_vidmetrics.core.weights import weights_sha256
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.flow import raft as raft_things
from pytest_vidmetrics.networks.flow.model import FlowModel
from pytest_vidmetrics.networks.flow.store import StoredPairs

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, tuple[Any, ...]]]
"""``(n, 3, H, W)`` uint8 RGB frames to ``(n - 1, 2, h, w)`` float32 flow in pixels and the index of the clip in it."""

Precision = Literal["float16", "float32"]
"""How fields are kept. float16 takes half the space; a component is off by at most 1/2048 of itself."""

LARGEST = 0.05


def padded(network: Callable[[torch.Tensor], torch.Tensor]) -> Forward:
    """Return RAFT for frames of any size: their edges are repeated up to multiples of 8."""

    def run(frames: torch.Tensor) -> tuple[torch.Tensor, tuple[Any, ...]]:
        wide, inside = raft_things.pad(frames.float())
        return network(wide), inside

    return run


class ClipFlow:
    """Flow from each frame of a clip to the next, computed when it is asked for.

    ``video`` is ``(T, 3, H, W)`` uint8. ``forward`` returns the network; it is called when a pair is in neither this
    object nor ``stored``; ``size`` pairs are computed together. With ``precision=None`` no fields are kept, only how
    much each pair moves; with ``stored`` only those of the last few pairs.
    """

    def __init__(
        self,
        video: torch.Tensor,
        forward: Callable[[], Forward],
        size: int,
        precision: Precision | None = "float16",
        stored: StoredPairs | None = None,
    ) -> None:
        self._video, self._forward, self._stored = video, forward, stored
        self._dtype = None if precision is None else getattr(torch, precision)
        self._size = size
        self._fields: dict[int, npt.NDArray[Any]] = {}
        self._motion: dict[int, tuple[float, float]] = {}

    def __len__(self) -> int:
        """How many pairs of consecutive frames there are."""
        return max(0, len(self._video) - 1)

    def field(self, pair: int) -> npt.NDArray[Any]:
        """Return the ``(H, W, 2)`` flow in pixels of one pair."""
        if pair not in self._fields:
            known = None if self._stored is None else self._stored.field(pair)
            if known is not None:
                return known
            self._compute(pair, len(self))
        return self._fields[pair]

    def motion(self, pair: int, ahead: int = 1) -> tuple[float, float]:
        """Return the largest motion of one pair in pixels: over the padded frame, and inside the frame.

        ``ahead`` is how many pairs from this one on will be asked for: no more are computed with it.
        """
        if pair not in self._motion:
            known = None if self._stored is None else self._stored.motion(pair)
            if known is None:
                self._compute(pair, ahead)
            else:
                self._motion[pair] = known
        return self._motion[pair]

    def _compute(self, start: int, ahead: int) -> None:
        """Compute some pairs from ``start`` on, and keep them."""
        # One frame more than pairs.
        flow, inside = self._forward()(self._video[start : start + min(self._size, ahead) + 1])
        cut = flow[inside]
        whole = largest_motion(flow)
        # One copy from the device for both numbers of every pair.
        both = torch.stack([whole, whole if cut.shape == flow.shape else largest_motion(cut)]).tolist()
        self._motion.update(enumerate(zip(*both, strict=True), start))
        shared.forwards["flow pairs"] += len(flow)
        if self._dtype is None:
            return
        fields = cut.permute(0, 2, 3, 1).to(self._dtype).cpu().contiguous().numpy()
        if self._stored is not None:
            self._fields.clear()  # the store has them: two clips of 121 frames at 720p would take 0.9 GB
        for pair, field in enumerate(fields, start):
            self._fields[pair] = field
            if self._stored is not None:
                self._stored.put(pair, field, self._motion[pair])


def clip_flow(
    video: torch.Tensor,
    model: FlowModel,
    forward: Callable[[], Forward],
    device: torch.device | str,
    size: int,
    precision: Precision = "float16",
    *,
    store: bool = True,
    rounding: str = "",
) -> ClipFlow:
    """Return the flow of a clip, which all metrics of one sample share that use the same network.

    With ``store`` the pairs are read from and written to the store of the engine, if there is one. ``rounding`` is
    the precision of the products, where it makes them other pairs.
    """
    keeper = shared.keeper() if store else None

    def make() -> ClipFlow:
        stored = None
        if keeper is not None:
            weights = weights_sha256(model.checkpoint())
            stored = StoredPairs(
                keeper, video, (model.model_name, model.ckpt, weights, precision, *filter(None, (rounding,)))
            )
        return ClipFlow(video, forward, size, precision, stored)

    # Without the size of a chunk: it changes no pair.
    return shared.once(("flow", model, str(device), precision, keeper is None), make, of=video)


def largest_motion(flow: torch.Tensor) -> torch.Tensor:
    """Return, for each ``(2, H, W)`` flow, the mean of the largest 5 % of its magnitudes, in float64."""
    magnitude = flow.square().sum(dim=1).sqrt().flatten(1)
    # The number of magnitudes is rounded down, as upstream.
    taken = int(LARGEST * magnitude.shape[1])
    return magnitude.topk(taken, dim=1).values.double().mean(dim=1)
