"""Kernel video distance: unbiased at any number of clips, with a p-value."""

from __future__ import annotations

from typing import ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.corpus import spread
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet
from pytest_vidmetrics.metrics.sets.streams import kernel_of_streams
from pytest_vidmetrics.metrics.sets.video_features import VideoSetMetric


@register("common.kvd")
class KVD(VideoSetMetric):
    """Unbiased squared MMD under the cubic kernel of KID (arXiv 1801.01401), on the features of ``common.fvd``.

    Lower is better; zero in expectation for equal distributions, so it can be negative. ``details["p_value"]`` is
    the one-sided p-value of 1000 random relabelings with a fixed seed, ``se`` the standard error for a fixed
    reference, ``influence`` by how much each clip raises the score. Of more than 10,000 clips the features are never
    held at once, see :meth:`score_parts`; of more than 50,000 on a side so many are compared.
    """

    higher_is_better: ClassVar[bool] = False
    by_parts: ClassVar[bool] = True
    noise_floor: ClassVar[float] = 1e-5
    most_clips: ClassVar[int | None] = 50_000
    noise_source: ClassVar[str] = "i3d with AVX-512, AVX2 and SSE4.1: 3e-6 on a distance of 0.1; thread counts: none"

    def bare(self, candidate: FeatureSet, reference: FeatureSet) -> float:
        """Return the distance alone."""
        from pytest_vidmetrics.stats.kernel import polynomial_mmd

        return polynomial_mmd(self.compared(candidate), self.compared(reference))

    def score_parts(self, candidate: Clips, reference: Clips, threads: int) -> MetricResult:
        """Return the distance of :meth:`score_sets` within 1e-9, over all pairs of clips, one block at a time.

        ``details["reduction"]`` is ``"blocks"``. ``p_value`` is of relabelings of some 64 groups of clips.
        """
        from pytest_vidmetrics.stats.kernel import polynomial

        score, found = kernel_of_streams(
            candidate, reference, lambda _: polynomial, self.layer, threads=threads, block=self.rules.rows_per_video
        )
        return MetricResult(self.name, score, {**self.said(), **found})

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Return the distance. Raises ``ValueError`` for fewer than two clips on either side."""
        from pytest_vidmetrics.stats.kernel import mmd_influence, permutation_p, polynomial, polynomial_mmd

        first, second = self.compared(candidate), self.compared(reference)
        details = {
            **self.facts(candidate, reference, first.shape[1]),
            "p_value": permutation_p(first, second, block=self.rules.rows_per_video),
            **spread(mmd_influence(first, second, polynomial), candidate.ids, block=self.rules.rows_per_video),
        }
        return MetricResult(self.name, polynomial_mmd(first, second), details)
