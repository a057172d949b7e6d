"""Which frames of a clip are read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FrameRequest:
    """Which frames of a clip a metric reads, so that the decoder can leave out the others.

    ``count`` frames: ``"uniform"`` takes ``linspace(0, T-1, count)`` truncated to integers, ``"first"`` the first
    ``count`` with the given ``stride``, ``"middle"`` the middle of each of ``count`` equal spans.
    ``count=None`` means every frame.

    ``size`` is ``(height, width)`` in pixels as displayed: a video file is scaled to it while it is decoded, as
    decord does, without keeping the aspect. Images, GIFs and frames in memory come at their own size all the same.
    """

    count: int | None = None
    how: Literal["uniform", "first", "middle"] = "uniform"
    stride: int = 1
    size: tuple[int, int] | None = None

    def indices(self, total: int) -> list[int]:
        """Return the frame numbers for a clip of ``total`` frames, at most ``total`` of them."""
        if self.count is None:
            return list(range(total))
        if self.how == "first":
            return list(range(0, total, self.stride))[: self.count]
        if self.count >= total:
            return list(range(total))
        if self.how == "middle":
            edges = [i * total // self.count for i in range(self.count + 1)]
            return [(low + high - 1) // 2 for low, high in itertools.pairwise(edges)]
        if self.count == 1:
            return [0]
        # Truncated float32 steps, as torch.linspace(...).long() gives: integer arithmetic is exact.
        return [(i * (total - 1)) // (self.count - 1) for i in range(self.count)]


ALL_FRAMES = FrameRequest()
