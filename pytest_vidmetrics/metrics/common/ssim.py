"""Structural similarity of a clip to its reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.pairs import frame_pairs, pair_details
from pytest_vidmetrics.metrics.registry import register

if TYPE_CHECKING:
    import torch

_WINDOW = 11
_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2
_LUMA = (0.299, 0.587, 0.114)


@register("common.ssim")
class SSIM(BaseMetric):
    """Mean over frames of the structural similarity index (Wang et al. 2004); 1 is identical, higher is better.

    11x11 Gaussian window with sigma 1.5, moments ``E[x^2] - E[x]^2``, values in [0, 1]. The first ``min(T)``
    frames are scored; ``details["per_frame"]`` lists them.

    - ``window="valid"`` (default) counts only positions where the window lies inside the frame, as scikit-image
      does with ``gaussian_weights=True, use_sample_covariance=False``. ``"zero_padded"`` counts every pixel with
      zeros outside, as FastVideo does: black borders then count as agreement.
    - ``channels="rgb"`` averages the three channels, ``"luma"`` scores ``0.299 R + 0.587 G + 0.114 B``.
    - ``chunk_size`` frames are held at once and do not change the score.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    value_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    noise_floor: ClassVar[float] = 1e-5
    noise_source: ClassVar[str] = "float32 against float64 on the parity clips: at most 1e-6 per frame"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.04)

    def __init__(
        self,
        window: Literal["valid", "zero_padded"] = "valid",
        channels: Literal["rgb", "luma"] = "rgb",
        chunk_size: int = 1,
    ) -> None:
        if window not in ("valid", "zero_padded"):
            raise ValueError(f"window must be 'valid' or 'zero_padded', got {window!r}")
        if channels not in ("rgb", "luma"):
            raise ValueError(f"channels must be 'rgb' or 'luma', got {channels!r}")
        self.window, self.channels, self.chunk_size = window, channels, chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes, and
        for frames smaller than the window.
        """
        import math

        height, width = sample["video"].shape[2:]
        if self.window == "valid" and min(height, width) < _WINDOW:
            raise IncompatibleSampleError(f"frames of {width}x{height} are smaller than the {_WINDOW}x{_WINDOW} window")
        per_frame: list[float] = []
        for generated, reference in frame_pairs(sample, self.chunk_size):
            per_frame += self._frames(self._planes(generated), self._planes(reference)).tolist()
        score = math.fsum(per_frame) / len(per_frame)
        return MetricResult(self.name, score, {"per_frame": per_frame, **pair_details(sample)})

    def _planes(self, frames: torch.Tensor) -> torch.Tensor:
        """Return ``(N, C, H, W)`` float32 in [0, 1]."""
        planes = frames.float().div_(255)
        if self.channels == "luma":
            planes = (planes * planes.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        return planes

    def _frames(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return one value per frame of two ``(N, C, H, W)`` batches, one channel at a time."""
        import torch

        pairs = zip(x.unbind(dim=1), y.unbind(dim=1), strict=True)
        return torch.stack([self._plane(a, b) for a, b in pairs]).mean(dim=0)

    def _plane(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the mean index of each of ``(N, H, W)`` planes, float64."""
        import torch

        centre = 0.5 if self.window == "valid" else 0.0
        # Variances do not depend on the origin; values around zero keep E[x^2] - E[x]^2 accurate in float32.
        x, y = x - centre, y - centre
        mx, my, xx, yy, xy = self._blur(torch.stack([x, y, x * x, y * y, x * y]))
        vx, vy, cov = xx - mx * mx, yy - my * my, xy - mx * my
        mx, my = mx + centre, my + centre
        index = (2 * mx * my + _C1) * (2 * cov + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
        return index.mean(dim=(1, 2), dtype=torch.float64)

    def _blur(self, maps: torch.Tensor) -> torch.Tensor:
        """Convolve ``(M, N, H, W)`` with the separable window."""
        import torch
        from torch.nn import functional as F

        steps = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
        weights = torch.exp(-(steps**2) / (2 * _SIGMA**2))
        taps = (weights / weights.sum()).tolist()
        if self.window == "zero_padded":
            maps = F.pad(maps, [_WINDOW // 2] * 4)
        # Shifted sums: convolutions of one channel copy the picture once per tap on a CPU.
        for dim in (3, 2):
            count = maps.shape[dim] - _WINDOW + 1
            total = maps.narrow(dim, 0, count) * taps[0]
            for k in range(1, _WINDOW):
                total.add_(maps.narrow(dim, k, count), alpha=taps[k])
            maps = total
        return maps
