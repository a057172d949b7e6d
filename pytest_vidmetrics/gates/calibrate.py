"""How much a score moves when nothing got worse: scored again, or generated again."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.engine.composite import Members
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.gates.baseline import Noise, NoiseKind
from pytest_vidmetrics.gates.cohort import facts_beside, separating
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    from pytest_vidmetrics.engine.worker import EvalWorker


def scoring_noise(
    metric: BaseMetric, corpus: Corpus, worker: EvalWorker, runs: int, members: Members | None = None
) -> Noise:
    """Score the same clips ``runs`` times from scratch: the noise of the metric on this machine.

    Nothing is read from or written to the result store. A metric whose noise only shows between processes
    (``noise_between_processes``) is scored in a new one each time. Raises
    :class:`~pytest_vidmetrics.core.errors.VidmetricsError` when a run gives no score.
    """
    from pytest_vidmetrics.engine.other_process import score_in_another
    from pytest_vidmetrics.engine.store import MemoryStore

    scores: list[float] = []
    for run in range(runs):
        if metric.noise_between_processes:
            found = score_in_another(metric, corpus, worker)
        else:
            # An empty store of its own: one that remembered the first run would make the noise zero.
            found = score_corpus(metric, corpus, worker.sibling(MemoryStore()), members=members)
        scores.append(_score(found, f"run {run + 1}"))
    return _noise(scores, "scoring")


def generation_noise(
    metric: BaseMetric,
    generations: Mapping[str, Corpus],
    worker: EvalWorker,
    members: Members | None = None,
) -> Noise:
    """Score several generations of the same prompts, such as other seeds: the noise of the model.

    Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` when one of them gives no score, when they are
    not generations of the same samples, or when two of them are the same files.
    """
    _check_distinct(generations)
    scores: list[float] = []
    expected: str | None = None
    for corpus in generations.values():
        # Named by the first clip, which tells generations apart in a message.
        observed = score_corpus(metric, corpus, worker, members=members)
        first = corpus.samples[0].path if corpus.samples else "no clips"
        scores.append(_score(observed, first))
        expected = expected or observed.sample_ids
        if observed.sample_ids != expected:
            raise VidmetricsError(f"the noise cannot be measured: {first}: other samples than those of the first one")
    return _noise(scores, "generation", [facts_beside(corpus) for corpus in generations.values()])


def _noise(scores: Sequence[float], kind: NoiseKind, facts: Sequence[Mapping[str, str]] = ()) -> Noise:
    from pytest_vidmetrics.stats.modes import two_modes

    found, sigma = two_modes(scores), statistics.stdev(scores)
    if found is None:
        return Noise(sigma, len(scores), kind)
    # Real paths: one folder may be reached through several links.
    differ = separating(facts, *found.members) if facts else {}
    return Noise(sigma, len(scores), kind, (found.low, found.high), differ)


def _check_distinct(generations: Mapping[str, Corpus]) -> None:
    """Refuse what would be recorded as a generator that always gives the same clips."""
    seen: dict[frozenset[str], str] = {}
    for name, corpus in generations.items():
        files = frozenset(os.path.realpath(path) for sample in corpus.samples for path in _generated(sample))
        if files and (other := seen.setdefault(files, name)) != name:
            raise VidmetricsError(
                f"the noise cannot be measured: {other} and {name} are the same clips; "
                "the case must find its clips by {checkpoint}"
            )


def _generated(sample: Sample) -> list[str]:
    return [str(sample.values[key]) for key in ("video", "audio") if sample.values.get(key)]


def _score(observed: CorpusScore, what: str) -> float:
    if observed.score is None or observed.problems:
        first = observed.problems[0] if observed.problems else None
        reason = f"{first.sample}: {first.reason}" if first else "no sample was scored"
        raise VidmetricsError(f"the noise cannot be measured: {what}: {reason}")
    return observed.score
