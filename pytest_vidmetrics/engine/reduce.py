"""A corpus to one score: every sample's outcome, reduced, with everything that identifies it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.corpus_digests import inputs_of, reference_digest, sample_digest, set_digest
from pytest_vidmetrics.engine.faults import checked_result, ends_run, fault
from pytest_vidmetrics.engine.identity import Digest, full_identity
from pytest_vidmetrics.engine.likeness import with_clips
from pytest_vidmetrics.engine.threads import reducing_threads
from pytest_vidmetrics.engine.work import Outcome
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Outcomes:
    """What one metric yielded for the clips of a corpus, by id."""

    samples: Mapping[str, Outcome]
    references: Mapping[str, Outcome] = field(default_factory=dict)


def reduce(
    metric: BaseMetric,
    corpus: Corpus,
    found: Outcomes,
    *,
    named_only: bool = True,
    threads: int = 1,
    digest: Digest = digest_file,
) -> CorpusScore:
    """Return the score of a corpus: the mean, or what the metric makes of its results or of its sets of rows.

    Rows are in the order of the sorted ids. A clip without an outcome of use is a problem, and the score is that of
    the others; a paired reference counts only with its clip, and the clip only with it. ``named_only`` keeps a set
    metric from references in files that nobody named, ``threads`` is how many processors its reduction may use,
    ``digest`` hashes the files that samples name.
    """
    if isinstance(metric, SetMetric):
        seen = _reduce_set(metric, corpus, found, named_only, threads, digest)
        return with_clips(seen, metric, corpus, found.samples, found.references)
    results: dict[str, MetricResult] = {}
    problems: list[Problem] = []
    missing: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for sample in corpus.samples:
        result = found.samples[sample.id].result or MetricResult.failed(metric.name, "no result")
        if result.score is not None:
            results[sample.id] = result
        elif result.is_unanswered:
            missing[sample.id] = result.reason
        elif metric.left_out(result):
            left_out[sample.id] = result.reason
        else:
            problems.append(Problem(sample.id, result.status, result.reason))
    # Too many unanswered: each of them is a failure.
    if len(missing) > metric.max_missing * len(corpus.samples):
        problems += [Problem(id, "failed", reason) for id, reason in missing.items()]
        missing = {}
    score = metric.corpus_score(results) if results else None
    if score is None and (results or left_out):
        problems.append(Problem("corpus", "failed", "the score of this corpus is undefined"))
    scores = metric.influences(results) if keeps_influence(type(metric)) else None
    if scores is None:
        scores = {id: result.score for id, result in metric.counted(results).items() if result.score is not None}
    reference = reference_digest(corpus.samples, metric, digest)
    seen = _corpus_score(metric, corpus, scores, score, problems, reference, metric.corpus_details(results))
    conditions = metric.conditions(results)
    seen = replace(
        seen,
        metric={**seen.metric, **({"conditions": conditions} if conditions else {})},
        inputs=inputs_of(corpus.samples, metric, digest),
        missing=missing,
        remarks=(
            *corpus.remarks,
            *metric.remarks(results),
            *_without_score(left_out, len(corpus.samples), "and are left out"),
            *_without_score(missing, len(corpus.samples), "and are missing"),
        ),
    )
    return with_clips(seen, metric, corpus, found.samples, {})


def _without_score(clips: Mapping[str, str], total: int, why: str) -> tuple[str, ...]:
    """Name the first of the clips that have no score, with the reason; nothing when there are none."""
    if not clips:
        return ()
    first, reason = min(clips.items())
    return (f"{len(clips)} of {total} clips have no score {why}; first: {first}: {reason}",)


def _reduce_set(
    metric: SetMetric, corpus: Corpus, found: Outcomes, named_only: bool, threads: int, digest: Digest
) -> CorpusScore:
    problems: list[Problem] = []
    generated = _rows(metric, corpus.samples, found.samples, problems, "")
    reference = _rows(metric, corpus.references, found.references, problems, "reference ")
    paired = {sample.id for sample in corpus.references if sample.paired}
    # Pairs count whole: a reference whose clip failed would shift the reference set.
    whole = {id: rows for id, rows in generated.items() if id not in paired or id in reference}
    partners = {id: rows for id, rows in reference.items() if id not in paired or id in generated}
    left_out = {"generated": len(corpus.samples) - len(whole), "reference": len(corpus.references) - len(partners)}
    result: MetricResult | None = None
    if whole:
        result = _score(metric, whole, partners, left_out, named_only, threads)
        if result.score is None:
            problems.append(Problem("corpus", result.status, result.reason))
    return of_set(metric, corpus, sorted(whole), result, problems, digest)


def of_set(
    metric: SetMetric,
    corpus: Corpus,
    ids: Sequence[str],
    result: MetricResult | None,
    problems: Sequence[Problem],
    digest: Digest,
) -> CorpusScore:
    """Return the score of a set metric, from what it said of the clips ``ids``."""
    details = dict(result.details) if result is not None else {}
    influence = details.pop("influence", {})
    samples = {id: float(influence.get(id, 0.0)) for id in ids}
    reference_set = set_digest(corpus.references, ("video", "audio"), digest)
    # The metric found its references in a file, whose digest it names.
    if not corpus.references:
        reference_set = details.get("ref_set")
    score = result.score if result is not None else None
    seen = _corpus_score(metric, corpus, samples, score, problems, reference_set, details)
    return replace(seen, remarks=corpus.remarks)


def _score(
    metric: SetMetric,
    generated: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    left_out: Mapping[str, int],
    named_only: bool,
    threads: int,
) -> MetricResult:
    def score() -> MetricResult:
        # Inside the guard: joining refuses rows of different widths.
        sets = FeatureSet.join(generated), FeatureSet.join(reference)
        return metric.score_against(*sets, left_out, named_only=named_only)

    return scored(metric, score, threads)


def scored(metric: SetMetric, score: Callable[[], MetricResult], threads: int) -> MetricResult:
    """Return what a set metric says of its sets, or why it says nothing."""
    try:
        with reducing_threads(metric, threads):
            return checked_result(score())
    # What statistics say of their input is a sentence, and needs no traceback.
    except (ValueError, ArithmeticError) as error:
        return MetricResult.failed(metric.name, str(error))
    except BaseException as error:
        if ends_run(error):
            raise
        return fault(metric.name, error)


def _rows(
    metric: SetMetric,
    samples: Iterable[Sample],
    found: Mapping[str, Outcome],
    problems: list[Problem],
    kind: str,
) -> dict[str, np.ndarray]:
    rows: dict[str, np.ndarray] = {}
    for sample in samples:
        outcome = found[sample.id]
        if outcome.rows is not None:
            rows[sample.id] = outcome.rows
        else:
            result = outcome.result or MetricResult.failed(metric.name, "no features")
            problems.append(Problem(f"{kind}{sample.id}", result.status, result.reason))
    return rows


def _corpus_score(
    metric: BaseMetric,
    corpus: Corpus,
    scores: Mapping[str, float],
    score: float | None,
    problems: Sequence[Problem],
    reference: str | None,
    details: Mapping[str, Any] | None = None,
) -> CorpusScore:
    # A verdict cannot be about a score that is not finite.
    if score is not None and not math.isfinite(score):
        problems = [*problems, Problem("corpus", "failed", f"the score is {score}")]
        score = None
    return CorpusScore(
        metric=full_identity(metric),
        higher_is_better=metric.higher_is_better,
        score=score,
        samples=dict(scores),
        paths={sample.id: sample.path for sample in corpus.samples},
        sample_ids=sample_digest(corpus.samples, metric),
        reference=reference,
        binary=metric.binary,
        is_set=keeps_influence(type(metric)),
        is_mean=takes_mean(type(metric)),
        chooses=chooses(type(metric)),
        may_miss=metric.max_missing > 0,
        counts_failures=metric.counts_failures,
        noise_floor=metric.noise_floor,
        floor_known=bool(metric.noise_floor or metric.noise_source),
        neutral_shift=metric.measured_shift(),
        min_n=metric.min_n,
        problems=tuple(problems),
        details=details or {},
    )


def keeps_influence(cls: type[BaseMetric]) -> bool:
    """Whether a metric's numbers by clip are influences on the score, not scores."""
    return cls.is_set_metric or issubclass(cls, CompositeMetric) or cls.influences is not BaseMetric.influences


def chooses(cls: type[BaseMetric]) -> bool:
    """Whether a metric itself chooses which clips make up its corpus score."""
    return cls.counted is not BaseMetric.counted or cls.left_out is not BaseMetric.left_out


def takes_mean(cls: type[BaseMetric]) -> bool:
    """Whether a metric's corpus score is the mean of its clips' scores."""
    return not keeps_influence(cls) and cls.corpus_score is BaseMetric.corpus_score
