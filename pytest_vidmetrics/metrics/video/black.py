"""Black frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.video.freeze import intervals


@register("video.black")
class Black(BaseMetric):
    """Share of frames that are black; in [0, 1], lower is better.

    Source: FFmpeg's filter ``blackdetect`` on luma (BT.601, studio range). A pixel is black up to ``level`` of the
    range above black, a frame when at least ``share`` of its pixels are.

    ``details["per_frame"]`` holds 1 for each black frame and 0 otherwise, ``details["black"]`` the first and last
    frame of each black span.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    noise_source: ClassVar[str] = "pixels are counted: the same pixels give the same score on every machine"

    def __init__(self, level: float = 0.1, share: float = 0.98) -> None:
        for name, value in (("level", level), ("share", share)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a share, 0 to 1, got {value!r}")
        self.level, self.share = level, share

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video``, ``(T, 3, H, W)`` uint8."""
        from fractions import Fraction

        from pytest_vidmetrics.media.filters import measured

        frames = sample["video"]
        # d=0: one black frame counts.
        options = f"d=0:pic_th={self.share:.12g}:pix_th={self.level:.12g}"
        said = measured("blackdetect", options, frames, seconds=Fraction(1))
        spans = intervals(said, "black_start", "black_end", len(frames))
        per_frame = [int(any(first <= index <= last for first, last in spans)) for index in range(len(frames))]
        score = sum(per_frame) / len(frames)
        return MetricResult(self.name, score, {"per_frame": per_frame, "black": [[*span] for span in spans]})
