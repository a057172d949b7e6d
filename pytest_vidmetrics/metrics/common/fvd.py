"""Fréchet video distance between the generated clips and a reference set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import FeatureSet, SetMetric
from pytest_vidmetrics.metrics.registry import register

if TYPE_CHECKING:
    import numpy as np

_EXTRACTORS = ("i3d", "motion_energy")


@register("common.fvd")
class FVD(SetMetric):
    """Fréchet distance between Gaussians fitted to one feature row per clip; lower is better, 0 is identical.

    ``extractor="motion_energy"`` needs no weights (:class:`~pytest_vidmetrics.backbones.motion_energy.MotionEnergy`,
    every frame). Its scores are **not comparable** with those of ``"i3d"``, the network of Unterthiner et al. (2018).
    The distance is biased upwards for few clips, alike on both sides of a comparison at the same number of clips.

    ``details``: ``mean_term`` and ``covariance_term`` (their sum is the score), ``se`` (standard error for a fixed
    reference, from the influence function), ``n_generated``, ``n_reference``, ``dimension``, and ``influence``:
    by how much each clip raises the score.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    higher_is_better: ClassVar[bool] = False
    noise_floor: ClassVar[float] = 1e-4
    noise_source: ClassVar[str] = "float32 descriptors on 1, 2 and 4 threads differ by less"

    def __init__(self, extractor: Literal["i3d", "motion_energy"] = "i3d") -> None:
        if extractor not in _EXTRACTORS:
            raise ValueError(f"extractor must be one of {', '.join(_EXTRACTORS)}, got {extractor!r}")
        self.extractor = extractor

    def feature_identity(self) -> dict[str, Any]:
        """Return the extractor and its version: what a stored row depends on."""
        from pytest_vidmetrics.backbones.motion_energy import VERSION

        return {"features": self.extractor, "version": VERSION}

    def setup(self) -> None:
        """Refuse an extractor whose network is not there."""
        if self.extractor == "i3d":
            raise UnavailableError(
                "common.fvd with extractor='i3d' is not part of this version: use extractor='motion_energy'"
            )

    def features(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the ``(1, D)`` row of one clip, ``(T, 3, H, W)`` uint8."""
        from pytest_vidmetrics.backbones.motion_energy import MotionEnergy

        return MotionEnergy().describe(sample["video"])[None]

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Return the distance. Raises ``ValueError`` for fewer than two clips on either side."""
        from pytest_vidmetrics.stats.frechet import frechet, influence

        result = frechet(candidate.rows, reference.rows)
        shares = influence(candidate.rows, reference.rows)
        details = {
            "extractor": self.extractor,
            "mean_term": result.mean_term,
            "covariance_term": result.covariance_term,
            "se": float(shares.std(ddof=1)) / math.sqrt(len(shares)),
            "n_generated": len(candidate.ids),
            "n_reference": len(reference.ids),
            "dimension": candidate.rows.shape[1],
            "influence": dict(zip(candidate.owners, map(float, shares / len(shares)), strict=True)),
        }
        return MetricResult(self.name, result.distance, details)
