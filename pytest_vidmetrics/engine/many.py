"""Outcomes of very many clips: what a corpus score is made of stays in memory, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pytest_vidmetrics.core.clips import Clips
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.work import Outcome
from pytest_vidmetrics.metrics.base import BaseMetric

_OF_RESULTS = ("corpus_score", "counted", "left_out", "remarks", "conditions", "corpus_details", "influences")
"""What a metric may do with the results of a corpus: the details of each are kept for one that does."""
_NONE: dict[str, Any] = {}


def without_details(metric: BaseMetric, outcomes: Iterable[tuple[str, Outcome]]) -> Iterator[tuple[str, Outcome]]:
    """Yield the outcomes by id, scores without their details where nothing asks for these, equal facts as one object.

    The outcomes of clips without a score stay as they are: they say why.
    """
    if any(getattr(type(metric), name) is not getattr(BaseMetric, name) for name in _OF_RESULTS):
        yield from outcomes
        return
    facts: dict[tuple[Any, ...], Clips] = {}
    for id, outcome in outcomes:
        if (result := outcome.result) is None or result.score is None:
            yield id, outcome
            continue
        clips = facts.setdefault(tuple(sorted(outcome.clips.items())), outcome.clips)
        yield id, Outcome(MetricResult(result.name, result.score, _NONE), clips=clips)
