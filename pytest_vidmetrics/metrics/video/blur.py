"""Blur without a reference: how wide edges are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register


@register("video.blur")
class Blur(BaseMetric):
    """Mean over frames of the mean width of edges, in pixels; lower is better.

    Source: FFmpeg's filter ``blurdetect`` (Marziliano et al. 2002) on luma (BT.601, studio range), with its own
    defaults. ``details["per_frame"]`` lists the widths; ``null`` is a frame without edges, which does not count. A
    clip without any edge is skipped. The filter writes six decimals.

    Noise makes edges narrow and so scores better: read it beside ``video.si_ti`` and ``common.psnr``.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "px"
    noise_floor: ClassVar[float] = 1e-6
    noise_source: ClassVar[str] = "the filter's own rounding to six decimals"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.2)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video``, ``(T, 3, H, W)`` uint8."""
        from pytest_vidmetrics.media.filters import mean_of, measured, numbers

        per_frame = numbers(measured("blurdetect", "", sample["video"]), "blur")
        score = mean_of(per_frame)
        if score is None:
            return self._skip(sample, "no frame has an edge, so that there is no width to measure")
        return MetricResult(self.name, score, {"per_frame": per_frame})
