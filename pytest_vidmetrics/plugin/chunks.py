"""The scoring items of a case: its samples in chunks, each with the gates that look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Corpus, Sample, shown_id
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.method_case import MethodClips
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.composite import CompositeMetric, absent_text, present
from pytest_vidmetrics.plugin.score_item import ScoreItem
from pytest_vidmetrics.plugin.session import Run

Unit = tuple[Sample, tuple[MetricConfig, ...]]


def score_items(
    node: pytest.Collector,
    run: Run,
    case: Case,
    corpus: Corpus,
    gates: tuple[MetricConfig, ...],
    clips: MethodClips | None = None,
) -> Iterator[ScoreItem]:
    """Yield the items of this run's part. ``clips`` are those of a method: a part scores what it generates."""
    if case.scoring == "engine":
        return
    # A gate that decides one by one scores for itself.
    gates = _with_parts(case, tuple(gate for gate in gates if not run.looks_one_by_one(gate, case, clips)))
    sets = tuple(gate for gate in gates if registry.metric_class(gate.metric).is_set_metric)
    units = [(sample, tuple(g for g in gates if sample.concerns(g.metric))) for sample in corpus.samples]
    # The shard of a clip, or the number of its chunk: what decides which part scores it.
    shards = {sample.id: clips.shard_of(i) for i, sample in enumerate(corpus.samples)} if clips is not None else {}
    units = [unit for unit in units if unit[1]]
    apart = case.pair == "set" or clips is not None
    # References that belong to no sample are units of their own.
    if sets and apart:
        units += [(sample, sets) for sample in corpus.references]
    paired = {ref.id: ref for ref in corpus.references} if sets and not apart else {}
    size, part = case.clips_per_item, run.settings.part
    chunks = [units[start : start + size] for start in range(0, len(units), size)]
    for number, chunk in enumerate(chunks):
        turn = shards.get(chunk[0][0].id, number) if chunk[0][0].role != "reference" else number
        # In turn, so that parts differ by one chunk at most.
        if part is None or turn % part[1] == part[0] - 1:
            work = [part for unit in chunk for part in _with_reference(unit, paired, sets)]
            yield ScoreItem.make(node, case, _chunk_name(chunk), work, clips)


def _with_parts(case: Case, gates: tuple[MetricConfig, ...]) -> tuple[MetricConfig, ...]:
    """Return the gates that clips are scored for: composite ones are replaced by their parts."""
    found: dict[tuple[str, str], MetricConfig] = {}
    for gate in gates:
        cls = registry.metric_class(gate.metric)
        parts = [gate]
        if issubclass(cls, CompositeMetric):  # nothing is scored for a sum that this version cannot give
            parts = [] if absent_text(cls) else [case.part(name) for name in present(cls)]
        for one in parts:
            # Gates of one metric with the same parameters share what is scored.
            found.setdefault((one.metric, repr(sorted(one.params.items()))), one)
    return tuple(found.values())


def _with_reference(unit: Unit, paired: dict[str, Sample], sets: tuple[MetricConfig, ...]) -> list[Unit]:
    reference = paired.get(unit[0].id)
    return [unit, (reference, sets)] if reference is not None else [unit]


def _chunk_name(chunk: list[Unit]) -> str:
    ids = [shown_id(sample.id) for sample, _ in chunk]
    names = [f"reference.{id}" if unit[0].role == "reference" else id for id, unit in zip(ids, chunk, strict=True)]
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"
