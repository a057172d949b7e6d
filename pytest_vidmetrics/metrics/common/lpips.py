"""Learned perceptual image patch similarity of a clip to its reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.pairs import frame_pairs, pair_details
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import LPIPS_HEADS, LPIPS_TRUNKS

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.lpips import Network as LpipsNetwork

_NETS = ("alex", "vgg", "squeeze")
_SMALLEST = 32
_CACHED = 2 * 256 * 256
"""Pixels of a chunk whose first layers stay in the cache of a processor."""
_BYTES_A_PIXEL = {"alex": 320, "vgg": 2400, "squeeze": 900}
"""What a pair of frames takes on a GPU for each pixel."""


@register("common.lpips")
class LPIPS(BaseMetric):
    """Mean over frames of LPIPS version 0.1 (Zhang et al. 2018); 0 is identical, lower is better.

    ``net`` is ``"alex"`` (default, the authors' choice for scoring), ``"vgg"`` or ``"squeeze"``; their scales
    differ. Frames are compared at their own size, at least 32x32. The first ``min(T)`` frames are scored;
    ``details["per_frame"]`` lists them and ``details["per_layer"]`` says what each layer adds to the score.
    At most ``chunk_size`` pairs go through the network at a time, on a CPU as many as its cache holds (one of 480p,
    two of 256x256); that does not change the score.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    higher_is_better: ClassVar[bool] = False
    noise_floor: ClassVar[float] = 1e-5
    noise_source: ClassVar[str] = "chunk sizes and thread counts on a CPU: at most 5e-8"
    tf32_change: ClassVar[float | None] = 6e-5

    _network: Network[LpipsNetwork] = Network(
        "lpips",
        ".lpips:read",
        *(file for net in _NETS for file in (LPIPS_TRUNKS[net], LPIPS_HEADS[net])),
        choose=lambda metric: [LPIPS_TRUNKS[metric.net], LPIPS_HEADS[metric.net]],
        options=["net"],
    )

    def __init__(self, net: Literal["alex", "vgg", "squeeze"] = "alex", chunk_size: int | None = None) -> None:
        one_of("net", net, _NETS)
        self.net: Literal["alex", "vgg", "squeeze"] = net
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes, and
        for frames smaller than 32x32.
        """
        import torch

        height, width = sample["video"].shape[2:]
        if min(height, width) < _SMALLEST:
            raise IncompatibleSampleError(f"frames of {width}x{height} are smaller than {_SMALLEST}x{_SMALLEST}")
        chunks = []
        with torch.inference_mode():
            for generated, reference in frame_pairs(sample, self._pairs(sample)):
                first, second = (frames.to(self.device).float() / 255 for frames in (generated, reference))
                chunks.append(self._network(first, second).double())
        layers = torch.cat(chunks).cpu()
        per_frame = layers.sum(dim=1)
        details = {"per_frame": per_frame.tolist(), "per_layer": layers.mean(dim=0).tolist(), **pair_details(sample)}
        return MetricResult(self.name, float(per_frame.mean()), details)

    def _pairs(self, sample: Mapping[str, Any]) -> int:
        """Return how many pairs of frames go through the network at a time."""
        video = sample["video"]
        pixels = video.shape[-2] * video.shape[-1]
        return self.chunk(len(video), _BYTES_A_PIXEL[self.net] * pixels, min(8, max(1, _CACHED // pixels)))
