"""A listed corpus through one worker: what a gate sees of its clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from pytest_vidmetrics.core.errors import UnavailableError, VidmetricsError
from pytest_vidmetrics.core.samples import LARGE, Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.engine.composite import Members, combine, lost
from pytest_vidmetrics.engine.identity import Digest
from pytest_vidmetrics.engine.many import some_of, streamed, without_details
from pytest_vidmetrics.engine.reduce import Outcomes, reduce
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric

if TYPE_CHECKING:
    import numpy as np


class Scoring(Protocol):
    """What scores samples: a :class:`~pytest_vidmetrics.engine.worker.EvalWorker`."""

    threads: int
    digest: Digest

    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        """Yield the outcomes of units in order."""

    def weights(self, metric: BaseMetric) -> Mapping[str, str]:
        """Return what a metric loads. Raises ``VidmetricsError`` when it changed since the first clip."""


def score_corpus(
    metric: BaseMetric,
    corpus: Corpus,
    worker: Scoring,
    *,
    cluster: str | None = None,
    members: Members | None = None,
    known: dict[str, Outcome] | None = None,
) -> CorpusScore:
    """Return one metric's score of the samples that are for it, computing what the store does not hold.

    ``members`` are the parts of a composite metric, configured as the case wants them.
    ``cluster`` is the sample key whose equal values mark samples that are not independent, such as the prompt.
    ``known`` are outcomes of some of the samples by id, which are not asked for again; new ones are added to them.
    """
    if isinstance(metric, CompositeMetric):
        parts = members or {}
        # What cannot be had is said before hours of scoring.
        found = lost(metric, parts, corpus) or combine(
            metric,
            {n: _settled(one, corpus.of(n), worker) for n, one in parts.items() if isinstance(one, BaseMetric)},
            corpus,
        )
    else:
        corpus = corpus.of(metric.name)
        found = _settled(metric, corpus, worker, known)
    return found if cluster is None else _clustered(found, corpus, cluster)


def rows_of(metric: SetMetric, samples: Sequence[Sample], worker: Scoring) -> dict[str, np.ndarray]:
    """Return the feature rows of samples by id, ``(k, D)`` each, computing what the store does not hold.

    Raises ``VidmetricsError`` for a sample that has none.
    """
    found: dict[str, np.ndarray] = {}
    for id, outcome in _collected(metric, samples, worker).items():
        if outcome.rows is None:
            reason = outcome.result.reason if outcome.result is not None else "no features"
            raise VidmetricsError(f"{id}: {reason}")
        found[id] = outcome.rows
    return found


def _settled(
    metric: BaseMetric, corpus: Corpus, worker: Scoring, known: dict[str, Outcome] | None = None
) -> CorpusScore:
    if isinstance(metric, SetMetric) and max(len(corpus.samples), len(corpus.references)) > LARGE:
        compared = some_of(metric, corpus)
        if len(compared.references) < len(corpus.references):
            metric = metric.of_part()
        # Outcomes that are known are in memory anyway.
        if metric.streams(bool(compared.references)) and not known:
            found = streamed(metric, compared, worker)
        else:
            found = _held(metric, compared, worker, known)
        if compared is not corpus:
            found = replace(found, details={**found.details, "reduction": "subsample"})
    else:
        found = _held(metric, corpus, worker, known)
    return _unchanged(metric, found, worker)


def _held(metric: BaseMetric, corpus: Corpus, worker: Scoring, known: dict[str, Outcome] | None) -> CorpusScore:
    """Return a score from all outcomes at once."""
    new = [sample for sample in corpus.samples if sample.id not in known] if known else corpus.samples
    found = _collected(metric, new, worker)
    if known is None:
        known = found
    else:
        known |= found
    references = corpus.references if metric.is_set_metric else ()
    outcomes = Outcomes(known, _collected(metric, references, worker))
    return reduce(metric, corpus, outcomes, threads=worker.threads, digest=worker.digest)


def _unchanged(metric: BaseMetric, found: CorpusScore, worker: Scoring) -> CorpusScore:
    """Return a score, with a problem where what the metric loads was replaced meanwhile."""
    try:
        # Asked after the last clip: a file may have been replaced while they were scored.
        worker.weights(metric)
    except UnavailableError:
        pass  # every sample says so
    except VidmetricsError as error:  # replaced since the first clip was scored: the identity may name either file
        return replace(found, problems=(*found.problems, Problem("corpus", "failed", str(error))))
    return found


def _collected(metric: BaseMetric, samples: Sequence[Sample], worker: Scoring) -> dict[str, Outcome]:
    brief = len(samples) > LARGE and not metric.looks_at_details()
    units = (Unit(sample.values, (metric,), brief) for sample in samples)
    found = ((sample.id, one[0]) for sample, one in zip(samples, worker.stream(units), strict=True))
    return dict(without_details(found) if brief else found)


def _clustered(found: CorpusScore, corpus: Corpus, cluster: str) -> CorpusScore:
    missing = [
        Problem(sample.id, "failed", f"cluster = {shown(cluster)}: this sample has no such key")
        for sample in corpus.samples
        if sample.values.get(cluster) is None
    ]
    return replace(found, clusters=clusters_of(corpus, cluster), problems=(*found.problems, *missing))


def clusters_of(corpus: Corpus, cluster: str | None) -> dict[str, str]:
    """Return the value of the key ``cluster`` of each sample by id; nothing without a key."""
    return {} if cluster is None else {sample.id: str(sample.values.get(cluster)) for sample in corpus.samples}
