"""Extended perceptually weighted peak signal-to-noise ratio of a clip against its reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.pairs import frame_pairs, pair_details
from pytest_vidmetrics.metrics.registry import register

_MOST = 100.0


@register("common.xpsnr")
class XPSNR(BaseMetric):
    """Mean over frames of the XPSNR of luma in dB, each frame capped at 100 dB; higher is better.

    Source: Helmrich et al. 2020, FFmpeg's filter ``xpsnr`` on YUV 4:4:4 (BT.601, studio range) at 24 frames per
    second. Errors weigh less where the reference is busy or moves. The first ``min(T)`` frames are scored;
    ``details["per_frame"]`` lists luma, ``details["u"]`` and ``["v"]`` chroma. The filter writes six decimals.

    Two choices differ from the command line's summary: the score is the mean of the frames' dB values, not the dB
    of the mean error, and the frame rate is fixed, so that clips above 32 frames per second weigh motion by one
    difference of frames, too.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    unit: ClassVar[str] = "dB"
    value_range: ClassVar[tuple[float, float] | None] = (0.0, _MOST)
    noise_floor: ClassVar[float] = 1e-6
    noise_source: ClassVar[str] = "the filter's own rounding to six decimals"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(5.8)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes.
        """
        import math

        from pytest_vidmetrics.media.filters import measured

        generated, reference = next(frame_pairs(sample, min(len(sample["video"]), len(sample["reference"])) or 1))
        said = measured("xpsnr", "", generated, reference, planes="yuv444p")
        # Equal planes are infinite.
        by_plane = {key: [min(float(one[f"xpsnr.xpsnr.{key}"]), _MOST) for one in said] for key in "yuv"}
        per_frame = [max(value, 0.0) for value in by_plane.pop("y")]
        score = math.fsum(per_frame) / len(per_frame)
        return MetricResult(self.name, score, {"per_frame": per_frame, **by_plane, **pair_details(sample)})
