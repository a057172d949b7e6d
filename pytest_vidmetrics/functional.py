"""The formulas of the metrics as pure functions on tensors and arrays: no engine, no files, no network.

They are what the metrics of the same names compute, bit for bit. Clips are ``(T, C, H, W)`` tensors, uint8 in 0..255
or floating point in [0, 1] (rounded to 8 bits, as decoded clips are); feature sets are ``(N, D)`` arrays.

>>> import torch
>>> from pytest_vidmetrics.functional import psnr
>>> clip = torch.full((2, 3, 16, 16), 100, dtype=torch.uint8)
>>> [round(value, 3) for value in psnr(clip, clip + 5)]
[34.151, 34.151]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike

    from pytest_vidmetrics.stats.prdc import PRDC


def psnr(video: torch.Tensor, reference: torch.Tensor) -> list[float]:
    """Return the peak signal-to-noise ratio of each frame in dB, at most 100; higher is better.

    The score of ``common.psnr`` is their mean. Raises ``ValueError`` for tensors that are not clips, and
    :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of two sizes.
    """
    from pytest_vidmetrics.metrics.common.psnr import PSNR

    return _per_frame(PSNR(), video, reference)


def ssim(
    video: torch.Tensor,
    reference: torch.Tensor,
    *,
    window: Literal["valid", "zero_padded"] = "valid",
    channels: Literal["rgb", "luma"] = "rgb",
) -> list[float]:
    """Return the structural similarity of each frame, in [-1, 1]; 1 is identical (Wang et al. 2004).

    ``window`` and ``channels`` are those of ``common.ssim``. Raises what :func:`psnr` raises.

    >>> import torch
    >>> clip = torch.arange(3 * 16 * 16, dtype=torch.uint8).reshape(1, 3, 16, 16)
    >>> ssim(clip, clip)
    [1.0]
    """
    from pytest_vidmetrics.metrics.common.ssim import SSIM

    return [min(1.0, value) for value in _per_frame(SSIM(window, channels), video, reference)]


def temporal_flickering(video: torch.Tensor) -> float:
    """Return VBench's score for flicker: ``(255 - mean absolute change between frames) / 255``; higher is better.

    Raises ``ValueError`` for a tensor that is not a clip, and
    :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for fewer than two frames.

    >>> import torch
    >>> temporal_flickering(torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
    1.0
    """
    from pytest_vidmetrics.core.errors import IncompatibleSampleError
    from pytest_vidmetrics.metrics.vbench.temporal_flickering import TemporalFlickering

    result = TemporalFlickering().compute({"video": _pixels(video, "video")})
    if result.score is None:
        raise IncompatibleSampleError(result.reason)
    return result.score


def frechet_distance(generated: ArrayLike, reference: ArrayLike, *, ddof: int = 1) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to two feature sets; 0 is identical.

    Covariances divide by ``N - ddof``. Exact for any number of rows (no matrix square root). Raises ``ValueError`` for
    fewer than two rows, other widths, or values that are not finite.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(100, 4))
    >>> round(frechet_distance(rows, rows + 0.5), 6)
    1.0
    """
    from pytest_vidmetrics.stats.frechet import frechet

    return frechet(_rows(generated), _rows(reference), ddof=ddof).distance


def kernel_distance(generated: ArrayLike, reference: ArrayLike) -> float:
    """Return the unbiased squared MMD under the cubic kernel of KID; near 0 for equal distributions, or below.

    Raises what :func:`frechet_distance` raises.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(200, 4))
    >>> abs(kernel_distance(rows[:100], rows[100:])) < 0.1 < kernel_distance(rows[:100], rows[100:] + 1)
    True
    """
    from pytest_vidmetrics.stats.kernel import polynomial_mmd

    return polynomial_mmd(_rows(generated), _rows(reference))


def prdc(generated: ArrayLike, reference: ArrayLike, *, k: int = 5) -> PRDC:
    """Return precision, recall, density and coverage with balls to the ``k``-th neighbour; higher is better.

    Raises ``ValueError`` where a set has ``k`` rows or fewer.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 4))
    >>> prdc(rows, rows).coverage
    1.0
    """
    from pytest_vidmetrics.stats import prdc as module

    return module.prdc(_rows(generated), _rows(reference), k=k)


def _per_frame(metric: Any, video: torch.Tensor, reference: torch.Tensor) -> list[float]:
    sample = {"video": _pixels(video, "video"), "reference": _pixels(reference, "reference")}
    values: list[float] = metric.compute(sample).details["per_frame"]
    return values


def _pixels(frames: torch.Tensor, name: str) -> torch.Tensor:
    """Return a clip as ``(T, C, H, W)`` uint8."""
    import torch

    from pytest_vidmetrics.engine.inputs import check_frames

    checked = check_frames(frames, name)
    if not checked.is_floating_point():
        return checked
    return checked.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def _rows(values: ArrayLike) -> Any:
    import numpy as np

    return np.asarray(values, dtype=np.float64)
