"""The samples of one call from a script: dicts in, jobs for a pool; outcomes in, results and corpora out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id
from pytest_vidmetrics.core.types import PATH_KEYS, MetricResult
from pytest_vidmetrics.engine.reduce import Outcomes
from pytest_vidmetrics.engine.values import completed, rate_key, source_of
from pytest_vidmetrics.engine.work import Job, Outcome, Unit
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric


@dataclass
class _Entry:
    """One sample: which metrics look at it, and which set metrics look at its paired reference."""

    index: int
    role: str
    id: str | None
    values: dict[str, Any]
    metrics: Sequence[BaseMetric]
    paired: list[Sequence[SetMetric]] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)
    repeated: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    references: dict[str, Outcome] = field(default_factory=dict)


class Batch:
    """The samples of one call, for some metrics. Frames are not kept.

    A sample of the reference set (``role="reference"``) is read by set metrics only, and so is a paired reference as
    a clip of its own. A clip is named by ``sample["id"]``, else by its file where no other has the name, else by its
    number.
    """

    def __init__(self, metrics: Sequence[BaseMetric]) -> None:
        self._metrics = metrics
        self._sets = [metric for metric in metrics if isinstance(metric, SetMetric)]
        self._entries: list[_Entry] = []
        self._ids: set[tuple[str, str]] = set()

    def jobs(self, samples: Iterable[Any]) -> Iterator[Job]:
        """Yield one job per sample. Raises ``TypeError`` for what is not a sample."""
        for index, sample in enumerate(samples):
            if not isinstance(sample, Mapping):
                what = "None" if sample is None else f"a {type(sample).__name__}"
                raise TypeError(f"samples[{index}] is {what}: expected a dict")
            yield self._job(index, sample)

    def _job(self, index: int, sample: Mapping[str, Any]) -> Job:
        values = completed(sample)
        role = "reference" if sample.get("role") == "reference" else "generated"
        metrics = self._metrics
        lacking = {m.name for m in self._sets if any(values.get(key) is None for key in m.requires)}
        if role == "reference":
            metrics = [metric for metric in self._sets if metric.name not in lacking]
        id = None if sample.get("id") is None else str(sample["id"])
        # Without frames: entries live until the call returns.
        entry = _Entry(index, role, id, _light(values), metrics, lacking=lacking)
        self._entries.append(entry)
        pairs = self._pairs(values) if role == "generated" else []
        # A clip with a paired reference is in both sets.
        entry.repeated = self._repeated(entry, [role, "reference"] if pairs else [role])
        if entry.repeated:
            entry.metrics, pairs = [metric for metric in metrics if not isinstance(metric, SetMetric)], []
        entry.paired = [unit.metrics for unit in pairs]  # type: ignore[misc]
        return Job((Unit(dict(sample), entry.metrics), *pairs), index)

    def _repeated(self, entry: _Entry, sets: Sequence[str]) -> str:
        """Return what is wrong when another sample has the same id in one of the sets."""
        if entry.id is None:
            return ""
        taken = [where for where in sets if (where, entry.id) in self._ids]
        self._ids.update((where, entry.id) for where in sets)
        return f"the id {entry.id!r} is used twice in the {taken[0]} set" if taken else ""

    def _pairs(self, values: Mapping[str, Any]) -> list[Unit]:
        """Return the paired references as clips of their own: for set metrics of videos, and for those of sounds."""
        found: dict[tuple[str, str], list[SetMetric]] = {}
        for metric in self._sets:
            if values.get(metric.reference_key()) is not None and metric.requires:
                found.setdefault((metric.reference_key(), metric.requires[0]), []).append(metric)
        return [Unit(_as_reference(values, *keys), metrics) for keys, metrics in found.items()]

    def take(self, outcomes: Mapping[int, Sequence[Sequence[Outcome]]]) -> None:
        """Take over the outcomes of all jobs, by number."""
        for entry in self._entries:
            own, *partners = outcomes[entry.index]
            entry.outcomes = {metric.name: found for metric, found in zip(entry.metrics, own, strict=True)}
            for metrics, found in zip(entry.paired, partners, strict=True):
                entry.references |= {metric.name: one for metric, one in zip(metrics, found, strict=True)}

    def results(self) -> list[dict[str, MetricResult]]:
        """Return the results of each sample by metric. A set metric has one only when it could not use the sample."""
        return [self._results(entry) for entry in self._entries]

    def _results(self, entry: _Entry) -> dict[str, MetricResult]:
        found: dict[str, MetricResult] = {}
        for metric in self._metrics:
            if entry.repeated and isinstance(metric, SetMetric):
                found[metric.name] = MetricResult.failed(metric.name, entry.repeated)
                continue
            # A sample's own fault comes before that of its reference.
            for outcome in (entry.outcomes.get(metric.name), entry.references.get(metric.name)):
                if outcome is not None and outcome.result is not None:
                    found.setdefault(metric.name, outcome.result)
        return found

    def corpus(self, metric: BaseMetric) -> tuple[Corpus, Outcomes]:
        """Return the samples that a metric is for, those that it did not skip, and their outcomes.

        A set metric is for every sample that has what it requires.
        """
        is_set = isinstance(metric, SetMetric)
        samples: dict[str, tuple[Sample, Outcome]] = {}
        references: dict[str, tuple[Sample, Outcome]] = {}
        generated, streamed = self._names("generated"), self._names("reference")
        for entry in self._entries:
            outcome, partner = entry.outcomes.get(metric.name), entry.references.get(metric.name)
            if outcome is None or (is_set and metric.name in entry.lacking):
                continue
            if not is_set and outcome.result is not None and outcome.result.status == "skipped":
                continue
            if entry.role == "reference":
                id = streamed[entry.index]
                references[id] = Sample(id, entry.values, "reference"), outcome
                continue
            id = generated[entry.index]
            samples[id] = Sample(id, entry.values), outcome
            if partner is not None:
                references[id] = Sample(id, entry.values, "reference", paired=True), partner
        # Sorted on both sides, whatever order the samples came in: the score has the same bits.
        clips = [tuple(found[id][0] for id in sorted(found)) for found in (samples, references)]
        outcomes = [{id: outcome for id, (_, outcome) in found.items()} for found in (samples, references)]
        return Corpus(clips[0], clips[1]), Outcomes(outcomes[0], outcomes[1])

    def _names(self, role: str) -> dict[int, str]:
        """Return the ids of the samples of one set by their numbers."""
        entries = [entry for entry in self._entries if entry.role == role and not entry.repeated]
        paired = [e for e in self._entries if e.paired and not e.repeated] if role == "reference" else []
        taken = Counter(name.casefold() for entry in [*entries, *paired] if (name := _name(entry)))
        names = {}
        for entry in entries:
            name = _name(entry)
            # Files of one name in two folders would be one id; the number of the sample is unique.
            names[entry.index] = name if name and (entry.id or taken[name.casefold()] == 1) else f"{entry.index:08d}"
        return names


def _name(entry: _Entry) -> str:
    """Return the id that a sample has or would like to have: that of its file."""
    if entry.id is not None:
        return entry.id
    path = Path(str(entry.values.get("video") or entry.values.get("audio") or ""))
    return clean_id(path.name if path.is_dir() else path.stem) if path.name else ""


def _as_reference(values: Mapping[str, Any], key: str, into: str) -> dict[str, Any]:
    """Return the sample values of a paired reference, as if it were the clip of a sample."""
    # Files and rates are those of the generated clip, not of its reference.
    rates = {rate_key(name) for name in PATH_KEYS}
    kept = {name: value for name, value in values.items() if name not in {*PATH_KEYS, *rates, "id"}}
    rate = values.get(rate_key(key)) if into == "video" else None
    return {**kept, into: values[key]} if rate is None else {**kept, into: values[key], "fps": rate}


def _light(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sample values without frames and sounds: texts, numbers, and clips by their paths."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, str | int | float):
            found[key] = value
        elif isinstance(value, os.PathLike) or key in PATH_KEYS:
            found[key] = source_of(value)
    return {key: value for key, value in found.items() if value is not None}
