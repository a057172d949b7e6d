"""Frames that repeat: how much of a clip stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register


@register("video.freeze")
class Freeze(BaseMetric):
    """Share of the frames after the first that repeat the one before; in [0, 1], lower is better.

    Source: FFmpeg's filter ``freezedetect`` on luma (BT.601, studio range). A frame repeats while its mean absolute
    difference from the frame that the standstill began with is at most ``noise`` of the range of 8 bits: 0.001 is a
    quarter of a grey level. ``least`` is the fewest repeats in a row that count.

    ``details["per_frame"]`` holds 1 for each repeat and 0 otherwise, ``details["frozen"]`` the first and last frame
    of each standstill, the frame that is repeated included. A clip of one frame is skipped.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    noise_source: ClassVar[str] = "integer sums: the same pixels give the same score on every machine"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.025)

    def __init__(self, noise: float = 0.001, least: int = 1) -> None:
        if not 0 <= noise <= 1:
            raise ValueError(f"noise is a share of the range, 0 to 1, got {noise!r}")
        if least < 1:
            raise ValueError(f"least is a number of frames, at least 1, got {least!r}")
        self.noise, self.least = noise, least

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video``, ``(T, 3, H, W)`` uint8."""
        from fractions import Fraction

        from pytest_vidmetrics.media.filters import measured

        frames = sample["video"]
        if len(frames) < 2:
            return self._skip(sample, f"the clip has {len(frames)} frame: a standstill needs at least 2")
        # The filter counts how long a frame is shown, its own time included, and knows it when the next one comes: a
        # standstill at the end of the clip takes one more.
        options = f"noise={self.noise:.12g}:duration={self.least + 1}"
        said = measured("freezedetect", options, [*frames, frames[-1]], seconds=Fraction(1))
        spans = intervals(said, "freezedetect.freeze_start", "freezedetect.freeze_end", len(frames))
        per_frame = [0] * len(frames)
        for first, last in spans:
            per_frame[first + 1 : last + 1] = [1] * (last - first)
        score = sum(per_frame) / (len(frames) - 1)
        return MetricResult(self.name, score, {"per_frame": per_frame, "frozen": [[*span] for span in spans]})


def intervals(said: Sequence[Mapping[str, str]], start: str, end: str, count: int) -> list[tuple[int, int]]:
    """Return the first and last frame of each span that a filter reports by its start and by the frame after it.

    The filter runs with frames of one second, so that its times are frame numbers. A span without an end lasts to
    the end of the ``count`` frames.
    """
    spans: list[tuple[int, int]] = []
    begun: int | None = None
    for one in said:
        # A short span begins and ends with one and the same frame: the first one behind it.
        begun = round(float(one[start])) if start in one else begun
        if end in one and begun is not None:
            spans.append((begun, round(float(one[end])) - 1))
            begun = None
    return spans if begun is None else [*spans, (begun, count - 1)]
