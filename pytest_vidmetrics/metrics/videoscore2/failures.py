"""How often VideoScore2 gives no answer that can be read: the gate that keeps the score honest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.videoscore2.answers import AnsweredMetric, explained, failure


@register("videoscore2.failures")
class VideoScore2Failures(AnsweredMetric):
    """Share of clips about which ``videoscore2`` has no score: 1 or 0 a clip; lower is better.

    Takes the parameters of ``videoscore2`` and uses the same answers. Clips that are hard to judge are missing from the
    mean of the others, so that a checkpoint could gain by failing more often: this share says so. Its gate allows as
    many failures as the exact binomial bound of the baseline's share does (at the policy's ``alpha``): none where the
    baseline has none. Details: ``fault``.
    """

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "share of clips"
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    binary: ClassVar[bool] = True
    counts_failures: ClassVar[bool] = True
    noise_source: ClassVar[str] = "the exact binomial bound of the baseline's share"

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Return 1 for a clip whose answer cannot be read, else 0."""
        if not str(sample.get("text_prompt") or "").strip():
            return self._skip(sample, "text_prompt is empty: there is nothing to be in line with")
        scored, _ = self.answers(sample)
        fault = failure(scored)
        details: dict[str, Any] = {"made": dict(scored[0].said.made), "fault": fault}
        if fault:
            details["explained"] = explained(fault, scored)
        return MetricResult(self.name, float(fault is not None), details)

    def corpus_details(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        """Return how often each fault occurred."""
        return {"faults": dict(sorted(Counter(r.details["fault"] for r in results.values() if r.score).items()))}

    def remarks(self, results: Mapping[str, MetricResult]) -> tuple[str, ...]:
        """Say why answers could not be read."""
        faults = self.corpus_details(results)["faults"]
        if not faults:
            return ()
        return (f"answers without a score: {', '.join(f'{count} {fault}' for fault, count in faults.items())}",)
