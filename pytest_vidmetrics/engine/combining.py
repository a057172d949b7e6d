"""Composite metrics in an evaluator: corpus scores of other metrics, combined when all clips are scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric, absent_text, is_composite, with_parts

__all__ = ["combine", "composites", "lacking", "with_parts"]


def composites(names: Iterable[str]) -> dict[str, CompositeMetric]:
    """Return the composite metrics among ``names``."""
    made = {name: registry.get_metric(name) for name in names if is_composite(name)}
    return {name: metric for name, metric in made.items() if isinstance(metric, CompositeMetric)}


def lacking(metric: CompositeMetric, names: Iterable[str], unavailable: Mapping[str, str]) -> str:
    """Return why a composite cannot be given by an evaluator that has ``names``; empty when it can."""
    if text := absent_text(metric):
        return text
    gone = [name for name in metric.parts if name in unavailable]
    return f"{metric.name} needs {gone[0]}: {unavailable[gone[0]]}" if gone else ""


def combine(
    metric: CompositeMetric, loaded: Mapping[str, BaseMetric], results: Sequence[Mapping[str, MetricResult]]
) -> MetricResult:
    """Return the combined score of all samples; a sample that a part skipped is not one of that part's samples."""
    scores: dict[str, float] = {}
    for name in metric.parts:
        found = {str(index): result[name] for index, result in enumerate(results) if name in result}
        bad = [one for one in found.values() if one.status in ("failed", "unavailable")]
        scored = {id: one for id, one in found.items() if one.score is not None}
        score = loaded[name].corpus_score(scored) if scored and not bad else None
        if score is None:
            reason = bad[0].reason if bad else "no sample was scored"
            return MetricResult.failed(metric.name, f"{name}: {reason}")
        scores[name] = score
    return MetricResult(metric.name, metric.combine(scores), metric.describe(scores))
