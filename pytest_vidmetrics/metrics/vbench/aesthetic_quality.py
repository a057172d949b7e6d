"""VBench aesthetic quality: the LAION linear head on CLIP ViT-L/14 image embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import clip_float, encode, frame_bytes
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import CLIP_L14, LAION_HEAD

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.clip.aesthetic import AestheticHead
    from pytest_vidmetrics.networks.clip.towers import ClipImage

_INSIDE = 12 << 20
"""Bytes that one frame takes inside the network."""


@register("vbench.aesthetic_quality")
class AestheticQuality(VBenchMetric):
    """Mean over all frames of the LAION aesthetic score divided by 10; about 0.4 to 0.7, higher is better.

    Every frame is resized (bicubic, no antialias, on floats), cropped to 224, embedded, normalised to length 1
    and given to the linear head. The result is not clamped. Upstream runs CLIP in float16 on CUDA; here it is
    float32 everywhere. Source: Vchitect/VBench ``aesthetic_quality.py``, arXiv 2311.17982.

    At most ``chunk_size`` frames are held as floating point at a time; it does not change the score.
    """

    backbone: ClassVar[str | None] = "clip-vit-large-patch14"
    noise_floor: ClassVar[float] = 5e-3
    noise_source: ClassVar[str] = "recommended cross-machine tolerance: decoder, float16 against float32, kernels"
    tf32_change: ClassVar[float | None] = 1.7e-6
    bf16_change: ClassVar[float | None] = 2.3e-5

    _image: Network[ClipImage] = Network("clip-vit-large-patch14.image", ".clip.towers:read_image", CLIP_L14, bf16=True)
    _head: Network[AestheticHead] = Network("sa_0_4_vit_l_14_linear.pth", ".clip.aesthetic:read", LAION_HEAD)

    def __init__(self, chunk_size: int | None = None) -> None:
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["frame_results"]`` holds each frame's score."""
        video = self.clip(sample)
        size = self.chunk(len(video), frame_bytes(video, _INSIDE), on_processor=32)
        embeddings = encode(video, clip_float, self._image, size)
        scores = (self._head(embeddings).double() / 10).tolist()
        return MetricResult(self.name, sum(scores) / len(scores), {"frame_results": scores})
