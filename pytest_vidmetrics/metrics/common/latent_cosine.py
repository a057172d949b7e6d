"""How alike two latents are: what a generator made before it was decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register

if TYPE_CHECKING:
    import numpy as np


@register("common.latent_cosine")
class LatentCosine(BaseMetric):
    """Cosine of ``latent`` and ``reference_latent``, in [-1, 1]; 1 is the same direction, higher is better.

    Rows name the two files: ``.npy``, ``.npz`` or ``.safetensors`` with one array each, or with one that is called
    ``key``. Floats and integers of any shape, the same for both; sums are float64. bfloat16 is read from safetensors.

    ``time_axis`` is the axis of time, if any: ``details["per_frame"]`` then lists a cosine for each index of it.
    ``details["relative_l2"]`` is ``|a - b| / |b|``, which also sees a latent that is only scaled. Two latents of
    zeros only are the same, 1; one of them alone is 0.

    Few-step models may decode one latent to quite different pixels: FastVideo compares slices of latents instead of
    SSIM there. Whole latents are compared here; a slice is a smaller file.
    """

    requires: ClassVar[tuple[str, ...]] = ("latent", "reference_latent")
    requires_reference: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    by_name_only: ClassVar[bool] = True
    noise_floor: ClassVar[float] = 1e-12
    noise_source: ClassVar[str] = "float64 sums in any order"

    def __init__(self, key: str | None = None, time_axis: int | None = None) -> None:
        self.key, self.time_axis = key, time_axis

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score the files that ``latent`` and ``reference_latent`` name.

        Raises :class:`~pytest_vidmetrics.core.errors.MediaError` for a file that cannot be read and
        :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for latents of different shapes.
        """
        import numpy as np

        from pytest_vidmetrics.media.latents import read_numbers

        ours, theirs = (read_numbers(sample[name], self.key) for name in ("latent", "reference_latent"))
        if ours.shape != theirs.shape:
            raise IncompatibleSampleError(
                f"the latent has the shape {ours.shape} and its reference {theirs.shape}: save both alike"
            )
        length = float(np.linalg.norm(theirs))
        details: dict[str, Any] = {
            "shape": list(ours.shape),
            "relative_l2": float(np.linalg.norm(ours - theirs)) / length if length else None,
        }
        if self.time_axis is not None:
            if not -ours.ndim <= self.time_axis < ours.ndim:
                raise IncompatibleSampleError(f"a latent of shape {ours.shape} has no axis {self.time_axis}")
            frames = (np.moveaxis(one, self.time_axis, 0) for one in (ours, theirs))
            details["per_frame"] = [_cosine(a, b) for a, b in zip(*frames, strict=True)]
        return MetricResult(self.name, _cosine(ours, theirs), details)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine of two arrays of one shape, over all values."""
    import numpy as np

    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not all(lengths):
        return float(lengths[0] == lengths[1])
    # Unit vectors first: the product of two lengths may overflow where neither does.
    return min(1.0, max(-1.0, float(np.vdot(a / lengths[0], b / lengths[1]))))
