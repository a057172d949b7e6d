"""VBench subject consistency: how alike DINO ViT-B/16 finds the frames of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import FrameWeightedMetric, temporal_consistency
from pytest_vidmetrics.metrics.vbench.frames import dino, encode, frame_bytes
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import DINO_B16

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.dino import Dino

_INSIDE = 16 << 20
"""Bytes that one frame takes inside the network."""


@register("vbench.subject_consistency")
class SubjectConsistency(FrameWeightedMetric):
    """Mean cosine of each frame's DINO feature with the previous and the first frame's, in [0, 1].

    Frames keep their aspect ratio (shorter side 224, bilinear, no antialias, no crop). Negative cosines count as
    0. A clip of one frame has no score (upstream divides by zero). Arguments: see :class:`FrameWeightedMetric`.
    Source: Vchitect/VBench ``subject_consistency.py``, arXiv 2311.17982.
    """

    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    backbone: ClassVar[str | None] = "dino-vitb16"
    noise_floor: ClassVar[float] = 2e-3
    noise_source: ClassVar[str] = "recommended cross-machine tolerance: decoder, kernels"
    tf32_change: ClassVar[float | None] = 1.4e-6
    bf16_change: ClassVar[float | None] = 1.6e-5

    _network: Network[Dino] = Network("dino-vitb16", ".dino:read", DINO_B16, bf16=True)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip of at least two frames."""
        video = self.clip(sample, least=2)
        size = self.chunk(len(video), frame_bytes(video, _INSIDE), on_processor=16)
        score, details = temporal_consistency(encode(video, dino, self._network, size))
        return MetricResult(self.name, score, details)
