"""Scores of all samples of one call from a script, as the results that scripts read: of sets, and combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.batch import Batch
from pytest_vidmetrics.engine.composite import combine
from pytest_vidmetrics.engine.reduce import reduce
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric


@dataclass(frozen=True)
class WholeBatch:
    """A batch whose outcomes are there. ``threads`` is how many processors a reduction may use."""

    batch: Batch
    threads: int

    def _score(self, metric: BaseMetric) -> CorpusScore:
        return reduce(metric, *self.batch.corpus(metric), named_only=False, threads=self.threads)

    def of_set(self, metric: BaseMetric, results: Sequence[Mapping[str, MetricResult]]) -> MetricResult:
        """Return the score of a set metric; the samples that it could not use are left out and counted."""
        found = self._score(metric)
        if found.score is not None:
            result = MetricResult(metric.name, found.score, {**found.details, "influence": dict(found.samples)})
        elif whole := [one for one in found.problems if one.sample == "corpus"]:
            result = MetricResult(metric.name, None, {"reason": whole[-1].reason}, whole[-1].status)
        else:
            result = MetricResult.skipped(metric.name, "no generated clips were accumulated")
        bad = {i: one[metric.name].reason for i, one in enumerate(results) if metric.name in one}
        if not bad:
            return result
        more = {"failed": len(bad), "failed_samples": [{"index": i, "reason": why} for i, why in bad.items()]}
        return MetricResult(metric.name, result.score, {**result.details, **more}, result.status)

    def of_composite(self, metric: CompositeMetric, members: Mapping[str, BaseMetric]) -> MetricResult:
        """Return the score of a composite; a sample that a part skipped is not one of that part's samples."""
        parts = {name: self._score(members[name]) for name in metric.parts}
        empty = [name for name, part in parts.items() if part.score is None and not part.problems]
        found = combine(metric, parts, self.batch.corpus(metric)[0])
        if found.score is not None:
            return MetricResult(metric.name, found.score, dict(found.details))
        if found.problems:
            return MetricResult.failed(metric.name, f"{found.problems[0].sample}: {found.problems[0].reason}")
        return MetricResult.failed(metric.name, f"{empty[0]}: no sample was scored")
