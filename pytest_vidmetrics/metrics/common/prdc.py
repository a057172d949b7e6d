"""Precision, recall, density and coverage of generated clips."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.corpus import spread
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.metrics.sets.video_features import VideoSetMetric

_NEIGHBOURS = 5


@register("common.prdc")
class PRDC(VideoSetMetric):
    """Coverage (arXiv 2002.09797) as the score, in [0, 1], higher is better, on the features of ``common.fvd``.

    ``details`` also holds ``precision``, ``recall`` (arXiv 1904.06991) and ``density``, all at 5 neighbours, ``se``
    (standard error of the coverage for a fixed reference), and ``influence``: by how much each clip raises it.
    """

    noise_source: ClassVar[str] = "counts: i3d with AVX-512, AVX2 and SSE4.1 gave the same"
    min_n: ClassVar[int] = _NEIGHBOURS + 1
    most_clips: ClassVar[int | None] = 5_000
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Return the coverage. Raises ``ValueError`` for fewer than six clips on either side."""
        from pytest_vidmetrics.stats.prdc import coverage_influence, prdc

        first, second = self.compared(candidate), self.compared(reference)
        values = prdc(first, second, k=_NEIGHBOURS)
        details = {
            **self.facts(candidate, reference, first.shape[1]),
            **asdict(values),
            "k": _NEIGHBOURS,
            **spread(coverage_influence(first, second, k=_NEIGHBOURS), candidate.ids, block=self.rules.rows_per_video),
        }
        return MetricResult(self.name, values.coverage, details)
