"""VBench temporal flickering: how little consecutive frames differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register


@register("vbench.temporal_flickering")
class TemporalFlickering(BaseMetric):
    """``(255 - mean absolute difference of consecutive frames) / 255``; higher is better, 1 is a still.

    Source: VBench (Huang et al. 2024), dimension ``temporal_flickering``. Differences are exact integer sums over
    all pixels and channels, then the mean over frame pairs. A clip of one frame has no pair and is skipped: the
    original yields NaN. ``details["per_pair_mae"]`` lists the differences in grey levels.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    requires_reference: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    noise_source: ClassVar[str] = "integer sums: the same pixels give the same score on every machine"

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video``, ``(T, 3, H, W)`` uint8."""
        import itertools
        import math

        frames = sample["video"]
        if len(frames) < 2:
            return self._skip(sample, f"the clip has {len(frames)} frame: flicker needs at least 2")
        # One pair at a time: two frames of int16, whatever the length of the clip.
        pairs = itertools.pairwise(frames)
        sums = [int((after.short() - before.short()).abs_().sum()) for before, after in pairs]
        per_pair = [total / frames[0].numel() for total in sums]
        score = (255.0 - math.fsum(per_pair) / len(per_pair)) / 255.0
        return MetricResult(self.name, score, {"per_pair_mae": per_pair})
