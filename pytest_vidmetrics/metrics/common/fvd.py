"""Fréchet video distance between the generated clips and a reference set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.corpus import frechet_details
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet
from pytest_vidmetrics.metrics.sets.streams import frechet_of_streams
from pytest_vidmetrics.metrics.sets.video_features import VideoSetMetric


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
    the score. Of more than 10,000 clips the features are never held at once, see :meth:`score_parts`.
    """

    higher_is_better: ClassVar[bool] = False
    by_parts: ClassVar[bool] = True
    noise_floor: ClassVar[float] = 1e-4
    noise_source: ClassVar[str] = "i3d with AVX-512, AVX2 and SSE4.1: 2e-5 on a distance of 3; thread counts: none"

    shifts: ClassVar[Mapping[str, NeutralShift]] = {"motion_energy": NeutralShift(0.0, common=0.032)}

    uses_covariance: ClassVar[bool] = True

    def bare(self, candidate: FeatureSet, reference: FeatureSet) -> float:
        """Return the distance alone."""
        from pytest_vidmetrics.stats.frechet import frechet

        return frechet(self.compared(candidate), self.compared(reference), ddof=self.rules.ddof).distance

    def score_parts(self, candidate: Clips, reference: Clips, threads: int) -> MetricResult:
        """Return the distance of :meth:`score_sets` within 1e-6, from moments: ``details["reduction"]`` says so."""
        del threads
        rules = self.rules
        score, found = frechet_of_streams(candidate, reference, self.layer, ddof=rules.ddof, block=rules.rows_per_video)
        return MetricResult(self.name, score, {**self.said(), **found})

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Return the distance.

        Raises ``ValueError`` for fewer than two clips on either side, and for features that are not finite.
        """
        first, second = self.compared(candidate), self.compared(reference)
        score, found = frechet_details(
            first, second, candidate.ids, ddof=self.rules.ddof, block=self.rules.rows_per_video
        )
        if (limit := found.pop("infinity", None)) is not None:
            found["fvd_infinity"] = limit
        return MetricResult(self.name, score, {**self.facts(candidate, reference, first.shape[1]), **found})
