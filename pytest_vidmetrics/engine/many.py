"""Very many clips: what a corpus score is made of stays in memory, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pytest_vidmetrics.core.clips import ClipFacts, Clips
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.identity import Digest
from pytest_vidmetrics.engine.likeness import with_clips
from pytest_vidmetrics.engine.reduce import of_set, scored
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.metrics.sets.base import SetMetric

if TYPE_CHECKING:
    import numpy as np


def without_details(outcomes: Iterable[tuple[str, Outcome]]) -> Iterator[tuple[str, Outcome]]:
    """Yield the outcomes by id, scores without their details, equal facts as one object."""
    shared: dict[tuple[Any, ...], Clips] = {}
    return ((id, outcome.brief(shared)) for id, outcome in outcomes)


class Streaming(Protocol):
    """What yields outcomes: a :class:`~pytest_vidmetrics.engine.worker.EvalWorker`."""

    threads: int
    digest: Digest

    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        """Yield the outcomes of units in order."""


def streamed(metric: SetMetric, corpus: Corpus, worker: Streaming) -> CorpusScore:
    """Return the score of a set metric that reads its sets as often as it needs and never holds them.

    Clips without features are problems, as elsewhere; there is no score then.
    """
    generated = _Set(metric, corpus.samples, worker, "")
    reference = _Set(metric, corpus.references, worker, "reference ")
    clips = reference.clips if corpus.references else None
    result = scored(metric, lambda: metric.score_streamed(generated.clips, clips, worker.threads), threads=1)
    if generated.problems:
        reference.look()
    problems = [*generated.problems.values(), *reference.problems.values()]
    if problems:
        result = MetricResult.failed(metric.name, problems[0].reason)
    elif result.score is None:
        problems.append(Problem("corpus", result.status, result.reason))
    seen = of_set(metric, corpus, sorted(generated.facts), result, problems, worker.digest)
    return with_clips(seen, metric, corpus, generated.outcomes(), reference.outcomes())


class _Set:
    """One side of a comparison: its clips in order, what they are, and why some have no features."""

    def __init__(self, metric: SetMetric, samples: Sequence[Sample], worker: Streaming, kind: str) -> None:
        self._metric, self._samples, self._worker, self._kind = metric, samples, worker, kind
        self._same: dict[tuple[tuple[str, ClipFacts], ...], Clips] = {}
        self.facts: dict[str, Clips] = {}
        self.problems: dict[str, Problem] = {}

    def clips(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the rows of each clip that has some. Raises ``ValueError`` at the end when some clip had none."""
        units = (Unit(sample.values, (self._metric,)) for sample in self._samples)
        for sample, (outcome,) in zip(self._samples, self._worker.stream(units), strict=True):
            if outcome.rows is None:
                result = outcome.result or MetricResult.failed(self._metric.name, "no features")
                problem = Problem(f"{self._kind}{sample.id}", result.status, result.reason)
                self.problems.setdefault(sample.id, problem)
                continue
            self.facts[sample.id] = self._same.setdefault(tuple(sorted(outcome.clips.items())), outcome.clips)
            yield sample.id, outcome.rows
        if self.problems:
            raise ValueError(next(iter(self.problems.values())).reason)

    def look(self) -> None:
        """Find out which clips have no rows."""
        with contextlib.suppress(ValueError):
            for _ in self.clips():
                pass

    def outcomes(self) -> Mapping[str, Outcome]:
        """Return the facts of the clips as outcomes."""
        made = {id(facts): Outcome(clips=facts) for facts in self._same.values()}
        return {name: made[id(facts)] for name, facts in self.facts.items()}


def some_of(metric: SetMetric, corpus: Corpus) -> Corpus:
    """Return as many clips and references as a metric compares at most, the same ones for the same ids."""
    most = metric.most_clips
    if most is None:
        return corpus
    samples, references = _drawn(corpus.samples, most), _drawn(corpus.references, most)
    if len(samples) == len(corpus.samples) and len(references) == len(corpus.references):
        return corpus
    remark = f"{metric.name} compares {len(samples)} of {len(corpus.samples)} clips, chosen by their ids"
    if len(references) < len(corpus.references):
        remark += f", with {len(references)} of {len(corpus.references)} references"
    return replace(corpus, samples=samples, references=references, remarks=(*corpus.remarks, remark))


def _drawn(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    if len(samples) <= most:
        return samples
    order = sorted(
        (hashlib.sha256(sample.id.encode("utf-8", "surrogatepass")).digest(), i) for i, sample in enumerate(samples)
    )
    return tuple(samples[i] for i in sorted(i for _, i in order[:most]))
