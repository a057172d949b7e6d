"""Peak signal-to-noise ratio of a clip against its reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.pairs import frame_pairs, pair_details
from pytest_vidmetrics.metrics.registry import register

if TYPE_CHECKING:
    import torch

_BLOCK = 1 << 16
"""Values at a time, which stay in the cache of a core."""


@register("common.psnr")
class PSNR(BaseMetric):
    """Mean over frames of ``10*log10(255^2 / mse)`` in dB, each frame capped at 100 dB; higher is better.

    ``mse`` is the mean over the three channels and all pixels of one frame, from exact integer sums. The first
    ``min(T)`` frames are scored. At most ``chunk_size`` frames are held at once and do not change the score.
    ``details["per_frame"]`` lists the dB values.

    The mean of the dB values is not the dB of the mean error; the first is what FastVideo reports.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    unit: ClassVar[str] = "dB"
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 100.0)
    noise_source: ClassVar[str] = "integer sums: the same pixels give the same score on every machine"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(3.5)

    def __init__(self, chunk_size: int | None = None) -> None:
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes.
        """
        import math

        per_frame: list[float] = []
        video = sample["video"]
        size = self.chunk(len(video), 24 * video[:1].numel(), on_processor=4)
        for generated, reference in frame_pairs(sample, size):
            squares, count = squared_errors(generated, reference), generated[0].numel()
            # 1e-10 of the square of the range is the cap of 100 dB.
            per_frame += [10.0 * math.log10(1.0 / max(total / count / 255.0**2, 1e-10)) for total in squares]
        score = math.fsum(per_frame) / len(per_frame)
        return MetricResult(self.name, score, {"per_frame": per_frame, **pair_details(sample)})


def squared_errors(first: torch.Tensor, second: torch.Tensor) -> list[float]:
    """Return the exact sum of squared differences of each frame of two ``(N, C, H, W)`` uint8 clips."""
    import torch

    if first.device.type != "cpu":
        # int16 for the difference, int32 for its square; the sum of these is int64.
        sums: list[float] = (first.short() - second.short()).int().square_().sum(dim=(1, 2, 3)).tolist()
        return sums
    _, channels, height, width = first.shape
    rows = max(1, _BLOCK // (channels * width))
    sums = []
    for a, b in zip(first, second, strict=True):
        parts = []
        for start in range(0, height, rows):
            some = slice(start, start + rows)
            # Whole numbers below 2**53 add up without rounding. The result is dense, in whatever order it lies.
            error = (a[:, some].short() - b[:, some].short()).double()
            flat = error.as_strided((error.numel(),), (1,))
            parts.append(float(torch.dot(flat, flat)))
        sums.append(sum(parts))
    return sums
