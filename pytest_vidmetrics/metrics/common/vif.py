"""Visual information fidelity of a clip against its reference."""

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
    import numpy as np

_TAPS = (17, 9, 5, 3)
_NOISE = 2.0
_TINY = 1e-10
_LEAST = 72
"""Pixels of the smaller side: the window of the fourth scale then still has room to mirror, see ``_filtered``."""


@register("common.vif")
class VIF(BaseMetric):
    """Mean over frames and four scales of the pixel-domain visual information fidelity; 1 is identical.

    Source: Sheikh and Bovik 2006, as in FFmpeg 9's filter ``vif``, on luma (BT.601, studio range), in float64: equal
    to the filter, which computes in float32, to 3e-6. Higher is better; more contrast than the reference has gives
    more than 1. The first ``min(T)`` frames are scored. ``details["per_frame"]`` lists the means of the scales,
    ``details["scales"]`` each.

    It is computed here, not by PyAV's own filter: that one treats the borders differently from version to version.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    noise_floor: ClassVar[float] = 1e-9
    noise_source: ClassVar[str] = "float64 sums in any order: at most 1e-12 per frame"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.041)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes and for
        frames smaller than the windows.
        """
        import math

        from pytest_vidmetrics.media.filters import converted

        height, width = sample["video"].shape[2:]
        if min(height, width) < _LEAST:
            raise IncompatibleSampleError(f"frames of {width}x{height}: four scales need at least {_LEAST} pixels")
        scales: list[list[float]] = []
        for generated, reference in frame_pairs(sample, 1):
            # 128 is taken off, as the filter does.
            sides = (next(converted(one, "gray")).astype("float64") - 128 for one in (reference, generated))
            scales.append(_fidelity(*sides))
        per_frame = [math.fsum(one) / len(one) for one in scales]
        score = math.fsum(per_frame) / len(per_frame)
        return MetricResult(self.name, score, {"per_frame": per_frame, "scales": scales, **pair_details(sample)})


def _fidelity(reference: np.ndarray, generated: np.ndarray) -> list[float]:
    """Return the fidelity of ``(H, W)`` float64 planes at each scale."""
    import numpy as np

    found = []
    for scale, taps in enumerate(_TAPS):
        if scale:
            # Half the size, rounded down: the last row and column of an odd size are dropped.
            height, width = reference.shape[0] // 2 * 2, reference.shape[1] // 2 * 2
            reference, generated = (_filtered(one, taps)[:height:2, :width:2] for one in (reference, generated))
        mean_r, mean_g = _filtered(reference, taps), _filtered(generated, taps)
        # Rounding may give a variance below 0.
        var_r = np.maximum(_filtered(reference * reference, taps) - mean_r * mean_r, 0)
        var_g = np.maximum(_filtered(generated * generated, taps) - mean_g * mean_g, 0)
        both = _filtered(reference * generated, taps) - mean_r * mean_g
        # In the order of the filter: later rules overrule earlier ones.
        gain = np.where(var_r < _TINY, 0, both / (var_r + _TINY))
        gain = np.where(var_g < _TINY, 0, gain)
        rest = np.where(var_r < _TINY, var_g, var_g - gain * both)
        rest = np.where(var_g < _TINY, 0, rest)
        rest = np.maximum(np.where(gain < 0, var_g, rest), _TINY)
        gain = np.maximum(gain, 0)
        told = float(np.log2(1 + gain * gain * var_r / (rest + _NOISE)).sum())
        there = float(np.log2(1 + var_r / _NOISE).sum())
        # A flat reference tells nothing, and nothing of it is lost.
        found.append(told / there if there > 0 else 1.0)
    return found


def _filtered(plane: np.ndarray, taps: int) -> np.ndarray:
    """Return a plane convolved with a Gaussian of ``taps`` squared (sigma ``taps / 5``), mirrored at the borders."""
    import numpy as np
    from scipy.ndimage import correlate1d

    steps = np.arange(taps, dtype=np.float64) - taps // 2
    window = np.exp(-(steps**2) / (2 * (taps / 5) ** 2))
    window /= window.sum()
    result: np.ndarray = correlate1d(correlate1d(plane, window, axis=0, mode="mirror"), window, axis=1, mode="mirror")
    return result
