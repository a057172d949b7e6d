"""Blocking without a reference: how much a grid stands out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register


@register("video.blockiness")
class Blockiness(BaseMetric):
    """Mean over frames of the ratio of gradients on the strongest grid to those between its lines; lower is better.

    Source: FFmpeg's filter ``blockdetect`` (Muijs and Kirenko 2005) on luma (BT.601, studio range). About 1 is a
    frame without blocks. Grids of ``least`` to ``most`` pixels are tried. ``details["per_frame"]`` lists the ratios;
    ``null`` is a flat frame, which does not count. A clip of flat frames is skipped. The filter writes six decimals.

    Each frame goes through a filter of its own: within one, the gradients of all frames so far add up.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    noise_floor: ClassVar[float] = 1e-6
    noise_source: ClassVar[str] = "the filter's own rounding to six decimals"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.25)

    def __init__(self, least: int = 3, most: int = 24) -> None:
        if not 2 <= least <= most <= 64:
            raise ValueError(f"least and most are pixels with 2 <= least <= most <= 64, got {least!r} and {most!r}")
        self.least, self.most = least, most

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video``, ``(T, 3, H, W)`` uint8."""
        from pytest_vidmetrics.media.filters import mean_of, measured, numbers

        options = f"period_min={self.least}:period_max={self.most}"
        # Each frame by itself: the filter adds up gradients from frame to frame.
        said = [one for frame in sample["video"] for one in measured("blockdetect", options, frame[None])]
        per_frame = numbers(said, "block")
        score = mean_of(per_frame)
        if score is None:
            return self._skip(sample, "every frame is flat, so that there is no grid to measure")
        return MetricResult(self.name, score, {"per_frame": per_frame})
