"""VBench imaging quality: MUSIQ (SPAQ weights) of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import centre_crop, encode, frame_bytes
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import MUSIQ_SPAQ

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.musiq import Musiq


Preprocess = Literal["longer", "shorter", "shorter_centercrop", "none"]
LIMIT = 512
_BYTES_A_PIXEL = 100
"""What the network takes for each pixel that it sees."""
_SCALED_PIXELS = (49 + 144) * 32 * 32
"""Pixels of the two scales that the network makes itself."""


@register("vbench.imaging_quality")
class ImagingQuality(VBenchMetric):
    """Mean MUSIQ score of all frames, divided by 100; about 0 to 1, higher is better.

    Upstream reports 0 to 100 per clip and divides its aggregate by 100; ``details["frame_results"]`` keeps the
    scale of 0 to 100. ``preprocess`` is upstream's mode: ``"longer"`` (its default) shrinks frames whose longer
    side exceeds 512, ``"shorter"`` those whose shorter side does, ``"shorter_centercrop"`` crops the latter to
    512 x 512 too, ``"none"`` scores them as they are. Source: Vchitect/VBench ``imaging_quality.py``,
    arXiv 2311.17982; MUSIQ arXiv 2108.05997.

    At most ``chunk_size`` frames go through the network at a time; it does not change the score.
    """

    backbone: ClassVar[str | None] = "musiq-spaq"
    noise_floor: ClassVar[float] = 5e-3
    noise_source: ClassVar[str] = "recommended cross-machine tolerance: decoder, kernels"
    tf32_change: ClassVar[float | None] = 1e-6
    bf16_change: ClassVar[float | None] = 3e-6

    _network: Network[Musiq] = Network("musiq-spaq", ".musiq:read", MUSIQ_SPAQ, bf16=True)

    def __init__(self, preprocess: Preprocess = "longer", chunk_size: int | None = None) -> None:
        modes = ("longer", "shorter", "shorter_centercrop", "none")
        one_of("preprocess", preprocess, modes)
        self.preprocess: Preprocess = preprocess
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip."""
        video = self.clip(sample)
        height, width = video.shape[-2:]
        # The share of the pixels that is left.
        shrunk = 1.0 if self.preprocess == "none" else min(1.0, LIMIT / self._side(height, width)) ** 2
        inside = int(_BYTES_A_PIXEL * (height * width * shrunk + _SCALED_PIXELS))
        size = self.chunk(len(video), frame_bytes(video, inside), on_processor=4)
        scores = encode(video, self._prepare, self._network, size).double().tolist()
        return MetricResult(self.name, sum(scores) / len(scores) / 100, {"frame_results": scores})

    def _side(self, height: int, width: int) -> int:
        """Return the side that must not be longer than the limit."""
        return max(height, width) if self.preprocess == "longer" else min(height, width)

    def _prepare(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 3, h, w)`` float32 frames in [0, 1] that the network scores."""
        import torch.nn.functional as F

        images = frames.float()
        height, width = images.shape[-2:]
        side = self._side(height, width)
        if self.preprocess == "none" or side <= LIMIT:
            return images / 255
        scale = LIMIT / side
        size = (int(scale * height), int(scale * width))
        images = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=False)
        if self.preprocess == "shorter_centercrop":
            images = centre_crop(images, LIMIT)
        return images / 255
