"""Flicker that the reference does not have."""

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


@register("common.flicker_excess")
class FlickerExcess(BaseMetric):
    """Mean of ``max(0, change of the clip - change of its reference)`` in grey levels (0 to 255); lower is better.

    The change of a clip at a frame is its mean absolute difference from the frame before, over all pixels and
    channels, from exact integer sums. Motion that both have cancels; what only the clip has counts: caches,
    quantisation and few steps make it. A clip that moves less than its reference scores 0.

    The first ``min(T)`` frames are scored. ``details["per_frame"]`` lists the excess of each frame (0 for the
    first), ``details["generated"]`` and ``["reference"]`` the changes. A pair of one frame is skipped.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "grey levels"
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 255.0)
    noise_source: ClassVar[str] = "integer sums: the same pixels give the same score on every machine"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.13)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes.
        """
        import math

        count = min(len(sample["video"]), len(sample["reference"]))
        generated, reference = (_changes(one) for one in next(frame_pairs(sample, count or 1)))
        if not generated:
            return self._skip(sample, f"the pair has {count} frame: flicker needs at least 2")
        excess = [max(0.0, ours - theirs) for ours, theirs in zip(generated, reference, strict=True)]
        details = {"per_frame": [0.0, *excess], "generated": generated, "reference": reference}
        return MetricResult(self.name, math.fsum(excess) / len(excess), {**details, **pair_details(sample)})


def _changes(frames: torch.Tensor) -> list[float]:
    """Return the mean absolute difference of each frame of ``(T, C, H, W)`` uint8 from the one before."""
    import itertools

    import torch

    # int16, as differences of uint8 wrap around; the sum of them is int64.
    sums = [(after.short() - before.short()).abs_().sum() for before, after in itertools.pairwise(frames)]
    return [total / frames[0].numel() for total in torch.stack(sums).tolist()] if sums else []
