"""VBench background consistency: how alike CLIP ViT-B/32 finds the frames of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import FrameWeightedMetric, temporal_consistency
from pytest_vidmetrics.metrics.vbench.frames import clip_float, encode, frame_bytes
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import CLIP_B32

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.clip.towers import ClipImage

_INSIDE = 5 << 20
"""Bytes that one frame takes inside the network."""


@register("vbench.background_consistency")
class BackgroundConsistency(FrameWeightedMetric):
    """Mean cosine of each frame's CLIP embedding with the previous and the first frame's, in [0, 1].

    Negative cosines count as 0. A clip of one frame has no score (upstream divides by zero). Upstream runs CLIP in
    float16 on CUDA; here it is float32 everywhere. Arguments: see :class:`FrameWeightedMetric`.
    Source: Vchitect/VBench ``background_consistency.py``, arXiv 2311.17982.
    """

    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    backbone: ClassVar[str | None] = "clip-vit-base-patch32"
    noise_floor: ClassVar[float] = 2e-3
    noise_source: ClassVar[str] = "recommended cross-machine tolerance: decoder, float16 against float32, kernels"
    tf32_change: ClassVar[float | None] = 8e-7
    bf16_change: ClassVar[float | None] = 6.2e-5

    _image: Network[ClipImage] = Network("clip-vit-base-patch32.image", ".clip.towers:read_image", CLIP_B32, bf16=True)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip of at least two frames."""
        video = self.clip(sample, least=2)
        size = self.chunk(len(video), frame_bytes(video, _INSIDE), on_processor=32)
        score, details = temporal_consistency(encode(video, clip_float, self._image, size))
        return MetricResult(self.name, score, details)
