"""VBench motion smoothness: how well AMT-S predicts every other frame from its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import AMT_S

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.amt.network import AmtS


@register("vbench.motion_smoothness")
class MotionSmoothness(VBenchMetric):
    """``(255 - mean absolute difference of predicted and true odd frames) / 255``, in [0, 1]; higher is better.

    Frames 0, 2, 4, … are the network's input, the odd frames between them what it must predict; the prediction is
    truncated to 256 levels, as upstream does, and a trailing odd frame is unused. The network sees frames at
    their own size. Upstream shrinks them by what the free memory of the GPU allows, but only when its device
    argument is the plain string "cuda", which its command line never passes: its published scores are unscaled,
    and a score must not depend on the machine. Fewer than 3 frames have no score.
    Source: Vchitect/VBench ``motion_smoothness.py``, arXiv 2311.17982. The weights are non-commercial.

    At most ``chunk_size`` pairs go through the network at a time; beyond rounding it does not change the score.
    """

    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    backbone: ClassVar[str | None] = "amt-s"
    noise_floor: ClassVar[float] = 2e-4
    noise_source: ClassVar[str] = "measured: YUV to RGB recipes of decoders move frame differences by 1.3e-4"
    tf32_change: ClassVar[float | None] = 2e-5

    _network: Network[AmtS] = Network("amt-s", ".amt.network:read", AMT_S)

    def __init__(self, chunk_size: int | None = None) -> None:
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["pair_differences"]`` holds each pair's difference in levels."""
        import torch

        from pytest_vidmetrics.networks.amt.network import gaps
        from pytest_vidmetrics.networks.flow import memory

        video = self.clip(sample, least=3)
        self._check(video)
        ends = video[::2]
        truth = video[1::2][: len(ends) - 1]
        found = []
        each = memory.pair_bytes(video.shape[-2], video.shape[-1], volumes=2)
        size = self.chunk(len(truth), each, on_processor=memory.PAIRS_ON_PROCESSOR)
        for start in range(0, len(truth), size):
            stop = min(start + size, len(truth))
            # The frame behind the last pair belongs to it.
            found.append(gaps(self._predict(ends[start : stop + 1]), truth[start:stop]))
        differences = [total / truth[0].numel() for total in torch.cat(found).tolist()]
        score = (255 - sum(differences) / len(differences)) / 255
        return MetricResult(self.name, score, {"pair_differences": differences})

    def _check(self, video: torch.Tensor) -> None:
        from pytest_vidmetrics.networks.amt.network import DIVISOR, SMALLEST

        height, width = video.shape[-2:]
        if min(height + -height % DIVISOR, width + -width % DIVISOR) < SMALLEST:
            raise IncompatibleSampleError(
                f"{self.name} needs frames of at least {SMALLEST - DIVISOR + 1} x {SMALLEST - DIVISOR + 1} pixels, "
                f"got {height} x {width}: upstream's network has no result for smaller ones"
            )
        self.check_size(height, width, self.device)

    def check_size(self, height: int, width: int, device: str) -> None:
        """Refuse frames of which one pair does not fit: two correlations of all cells with all cells."""
        from pytest_vidmetrics.networks.flow.memory import check_memory

        check_memory(self.name, height, width, device, volumes=2)

    def _predict(self, ends: torch.Tensor) -> torch.Tensor:
        """Return the ``(N - 1, 3, H, W)`` float32 frames in [0, 1] between each two of ``ends``, as predicted."""
        from pytest_vidmetrics.networks.amt.network import as_floats, pad_to

        padded, (rows, columns) = pad_to(as_floats(ends))
        return self._network(padded)[..., rows, columns]
