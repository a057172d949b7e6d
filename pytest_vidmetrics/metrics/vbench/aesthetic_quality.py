"""VBench aesthetic quality: the LAION linear head on CLIP ViT-L/14 image embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import clip_float, encode

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.clip.aesthetic import AestheticHead
    from pytest_vidmetrics.networks.clip.towers import ClipImage


@register("vbench.aesthetic_quality")
class AestheticQuality(VBenchMetric):
    """Mean over all frames of the LAION aesthetic score divided by 10; about 0.4 to 0.7, higher is better.

    Every frame is resized (bicubic, no antialias, on floats), cropped to 224, embedded, normalised to length 1
    and given to the linear head. The result is not clamped. Upstream runs CLIP in float16 on CUDA; here it is
    float32 everywhere. Source: Vchitect/VBench ``aesthetic_quality.py``, arXiv 2311.17982.

    ``chunk_size`` frames are held as floating point at a time; it does not change the score.
    """

    backbone: ClassVar[str | None] = "clip-vit-large-patch14"
    noise_floor: ClassVar[float] = 5e-3
    noise_source: ClassVar[str] = "recommended cross-machine tolerance: decoder, float16 against float32, kernels"
    dependencies: ClassVar[tuple[str, ...]] = ("transformers",)

    def __init__(self, chunk_size: int = 32) -> None:
        self.chunk_size = chunk_size
        self._image: ClipImage | None = None
        self._head: AestheticHead | None = None

    def weights_files(self) -> tuple[Weights, ...]:
        """Return CLIP ViT-L/14 and the linear head."""
        from pytest_vidmetrics.networks.clip.aesthetic import LAION_HEAD
        from pytest_vidmetrics.networks.clip.towers import CLIP_L14

        return CLIP_L14, LAION_HEAD

    def setup(self) -> None:
        """Load the image tower and the head."""
        if self._image is not None and self._head is not None:
            return
        from pytest_vidmetrics.networks.clip import aesthetic
        from pytest_vidmetrics.networks.clip import towers as clip

        tower, head = self.weights_files()
        self._image = clip.load_image(tower, self.device, self.name)
        self._head = aesthetic.load(head, self.device, self.name)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["frame_results"]`` holds each frame's score."""
        video = self.clip(sample)
        self.setup()
        assert self._image is not None
        assert self._head is not None
        embeddings = encode(video, clip_float, self._image, self.chunk_size)
        scores = (self._head(embeddings).double() / 10).tolist()
        return MetricResult(self.name, sum(scores) / len(scores), {"frame_results": scores})
