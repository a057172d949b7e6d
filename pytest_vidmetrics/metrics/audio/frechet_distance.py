"""Fréchet audio distance between the generated sounds and a reference set."""

from __future__ import annotations

from typing import ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.passt_features import SoundSetMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.corpus import frechet_details
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet
from pytest_vidmetrics.metrics.sets.streams import frechet_of_streams


@register("audio.frechet_distance")
class FrechetDistance(SoundSetMetric):
    """Fréchet distance between Gaussians fitted to one PaSST embedding per clip; lower is better, 0 is identical.

    The distance is exact, without the multiple of the identity that FastVideo adds to both covariances (which moves
    it by less than 1e-5 relative) and without a matrix square root. It is biased upwards for few clips: compare only
    the same number of clips. ``audio.kad`` has no such bias.

    ``details``: ``mean_term`` and ``covariance_term`` (their sum is the score), ``se`` (standard error for a fixed
    reference), ``null_floor`` (the distance of two parts of the reference of ``null_floor_n`` clips each),
    ``infinity`` (extrapolated to infinitely many clips, where there are 1.25 clips a dimension), ``influence`` (by
    how much each clip raises the score), ``kad`` (the score of ``audio.kad`` on the same clips), ``n_gen``, ``n_ref``,
    ``dimension``; from :meth:`finalize` also ``ref_source`` (``"samples"`` or ``"cached"``) and the numbers of clips
    that were left out. Of more than 10,000 clips the features are never held at once, see :meth:`score_parts`.
    """

    by_parts: ClassVar[bool] = True

    noise_floor: ClassVar[float] = 1e-3
    noise_source: ClassVar[str] = "embeddings of 1, 2 and 4 threads differ by 5e-6"

    uses_covariance: ClassVar[bool] = True

    def bare(self, candidate: FeatureSet, reference: FeatureSet) -> float:
        """Return the distance alone."""
        from pytest_vidmetrics.stats.frechet import frechet

        return frechet(self.checked(candidate), self.checked(reference)).distance

    def score_parts(self, candidate: Clips, reference: Clips, threads: int) -> MetricResult:
        """Return the distance of :meth:`score_sets` within 1e-6, from moments: ``details["reduction"]`` says so.

        ``null_floor``, ``infinity`` and ``kad`` need subsets or pairs and are left out.
        """
        del threads
        score, found = frechet_of_streams(candidate, reference)
        return MetricResult(self.name, score, self.said(found))

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Return the distance; skipped for fewer than two clips on either side.

        Raises ``ValueError`` for features that are not finite.
        """
        from pytest_vidmetrics.stats.kernel import gaussian, median_distance, mmd

        if (refused := self.too_few(candidate, reference)) is not None:
            return refused
        first, second = self.checked(candidate), self.checked(reference)
        score, details = frechet_details(first, second, candidate.ids)
        if (bandwidth := median_distance(second)) > 0.0:
            details["kad"] = 100.0 * mmd(first, second, gaussian(bandwidth))
        return MetricResult(self.name, score, {**self.facts(candidate, reference), **details})
