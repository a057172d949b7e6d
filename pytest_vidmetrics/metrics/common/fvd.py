"""Fréchet video distance between the generated clips and a reference set."""

from __future__ import annotations

from typing import Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import FeatureSet
from pytest_vidmetrics.metrics.common.fvd_features import VideoSetMetric
from pytest_vidmetrics.metrics.registry import register


@register("common.fvd")
class FVD(VideoSetMetric):
    """Fréchet distance between Gaussians fitted to one feature row per clip; lower is better, 0 is identical.

    ``extractor="i3d"`` is the network of Unterthiner et al. (2018, arXiv 1812.01717). As in FastVideo, ``"clip"``
    averages CLIP ViT-B/32 over the frames (content) and ``"videomae"`` reads 16 of them (structure and motion);
    ``"motion_energy"`` needs no weights. Scores of different extractors or protocols are **not comparable**. The
    distance is biased upwards for few clips, alike on both sides of a comparison at the same number of clips.

    ``details``: ``mean_term`` and ``covariance_term`` (their sum is the score), ``se`` (standard error for a fixed
    reference, from the influence function), ``null_floor`` (the distance of two parts of the reference of
    ``null_floor_n`` clips each), ``fvd_infinity`` (where there are 1.25 clips a dimension), ``n_generated``,
    ``n_reference``, ``dimension``, ``extractor``, ``protocol``, and ``influence``: by how much each clip raises
    the score.
    """

    higher_is_better: ClassVar[bool] = False
    noise_floor: ClassVar[float] = 1e-4
    noise_source: ClassVar[str] = "float32 descriptors on 1, 2 and 4 threads differ by less"

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Return the distance.

        Raises ``ValueError`` for fewer than two clips on either side, and for features that are not finite.
        """
        from pytest_vidmetrics.stats.frechet import frechet
        from pytest_vidmetrics.stats.influence import at_infinity, influence, null_floor, standard_error

        first, second = self.compared(candidate), self.compared(reference)
        ddof, block = self.rules.ddof, self.rules.rows_per_video
        result = frechet(first, second, ddof=ddof)
        values = influence(first, second)
        shares = values.reshape(-1, block).mean(axis=1) * block / len(values)
        details: dict[str, Any] = {
            **self.facts(candidate, reference, first.shape[1]),
            "mean_term": result.mean_term,
            "covariance_term": result.covariance_term,
            "se": standard_error(values, block=block),
            "influence": dict(zip(candidate.ids, map(float, shares), strict=True)),
        }
        if len(reference.ids) >= 4:
            floor = null_floor(second, len(candidate.ids), ddof=ddof, block=block)
            details["null_floor"], details["null_floor_n"] = floor
        if (limit := at_infinity(first, second, ddof=ddof, block=block)) is not None:
            details["fvd_infinity"] = limit
        return MetricResult(self.name, result.distance, details)
