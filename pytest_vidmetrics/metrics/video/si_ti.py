"""Spatial and temporal information of ITU-T P.910."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register


@register("video.si_ti")
class SpatialTemporalInformation(BaseMetric):
    """Mean over frames of the spatial (or temporal) information of ITU-T P.910; higher is better.

    Source: FFmpeg's filter ``siti`` on luma (BT.601, studio range). SI is the standard
    deviation of the Sobel gradient of a frame: detail. TI is that of the difference from the frame before: motion.
    ``part`` says which is the score, ``"si"`` by default; ``details["si"]``, ``["ti"]`` and ``["per_frame"]`` (the
    chosen one) list both, ``details["most"]`` holds the maxima that P.910 names. The first frame has no TI.

    Neither says that a clip is good: noise raises both. A fall of SI is lost detail, a fall of TI lost motion. The
    filter writes two decimals.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    requires_reference: ClassVar[bool] = False
    noise_floor: ClassVar[float] = 0.01
    noise_source: ClassVar[str] = "the filter's own rounding to two decimals"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(1.9)

    def __init__(self, part: Literal["si", "ti"] = "si") -> None:
        if part not in ("si", "ti"):
            raise ValueError(f"part must be 'si' or 'ti', got {part!r}")
        self.part = part

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video``, ``(T, 3, H, W)`` uint8. Frames smaller than the 3x3 window are refused."""
        from pytest_vidmetrics.core.errors import IncompatibleSampleError
        from pytest_vidmetrics.media.filters import mean_of, measured, numbers

        frames = sample["video"]
        if min(frames.shape[2:]) < 3:
            raise IncompatibleSampleError(f"frames of {frames.shape[3]}x{frames.shape[2]} are smaller than 3x3")
        said = measured("siti", "", frames)
        by_part = {"si": numbers(said, "siti.si"), "ti": [None, *numbers(said, "siti.ti")[1:]]}
        score = mean_of(by_part[self.part])
        if score is None:
            return self._skip(sample, "the clip has 1 frame: temporal information needs at least 2")
        most = {part: max((one for one in values if one is not None), default=None) for part, values in by_part.items()}
        return MetricResult(self.name, score, {"per_frame": by_part[self.part], **by_part, "most": most})
