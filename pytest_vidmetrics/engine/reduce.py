"""What a gate sees: every sample's result, reduced to one score, with everything that identifies it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import UnavailableError, VidmetricsError
from pytest_vidmetrics.core.hashing import digest_file, digest_json
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.types import PATH_KEYS, MetricResult
from pytest_vidmetrics.engine.faults import checked_result
from pytest_vidmetrics.engine.loading import with_sound
from pytest_vidmetrics.engine.masks import with_masks
from pytest_vidmetrics.metrics.base import BaseMetric, FeatureSet, SetMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric

if TYPE_CHECKING:
    import numpy as np

    from pytest_vidmetrics.engine.worker import Scorer


Members = Mapping[str, "BaseMetric | UnavailableError"]


def observe(
    config: MetricConfig,
    metric: BaseMetric,
    corpus: Corpus,
    scorer: Scorer,
    cluster: str | None = None,
    members: Members | None = None,
) -> CorpusScore:
    """Collect one gate's results on its samples of a case, computing what the store does not hold.

    ``members`` are the parts of a composite metric, set up as the case wants them.
    ``cluster`` is the sample key whose equal values mark samples that are not independent, such as the prompt.
    """
    if isinstance(metric, CompositeMetric):
        from pytest_vidmetrics.engine.composite import observe_composite

        observed = observe_composite(metric, members or {}, corpus, lambda part, clips: _settled(part, clips, scorer))
    else:
        corpus = corpus.of(config.metric)
        observed = _settled(metric, corpus, scorer)
    if cluster is None:
        return observed
    labels = {sample.id: str(sample.values.get(cluster)) for sample in corpus.samples}
    lost = [
        Problem(sample.id, "failed", f"cluster = {cluster!r}: this sample has no such key")
        for sample in corpus.samples
        if sample.values.get(cluster) is None
    ]
    return replace(observed, clusters=labels, problems=(*observed.problems, *lost))


def _settled(metric: BaseMetric, corpus: Corpus, scorer: Scorer) -> CorpusScore:
    observed = _observe(metric, corpus, scorer)
    try:
        scorer.weights(metric)
    except UnavailableError:
        pass  # every sample says so
    except VidmetricsError as error:  # replaced since the first clip was scored: the identity may name either file
        return replace(observed, problems=(*observed.problems, Problem("corpus", "failed", str(error))))
    return observed


def _observe(metric: BaseMetric, corpus: Corpus, scorer: Scorer) -> CorpusScore:
    if isinstance(metric, SetMetric):
        return _observe_set(metric, corpus, scorer)
    results: dict[str, MetricResult] = {}
    problems: list[Problem] = []
    for sample in corpus.samples:
        result = scorer.fill(sample.values, [metric])[0].result or MetricResult.failed(metric.name, "no result")
        if result.score is None:
            problems.append(Problem(sample.id, result.status, result.reason))
        else:
            results[sample.id] = result
    score = metric.corpus_score(results) if results else None
    if results and score is None:
        problems.append(Problem("corpus", "failed", "the score of this corpus is undefined"))
    scores = {id: result.score for id, result in metric.counted(results).items() if result.score is not None}
    seen = _observed(metric, corpus, scores, score, problems, _reference_of(corpus.samples, metric))
    return replace(seen, remarks=metric.remarks(results))


def _observe_set(metric: SetMetric, corpus: Corpus, scorer: Scorer) -> CorpusScore:
    problems: list[Problem] = []
    generated = _rows(metric, corpus.samples, scorer, problems, "")
    reference = _rows(metric, corpus.references, scorer, problems, "reference ")
    if not corpus.references:
        problems.append(Problem("reference", "failed", "the case has no reference clips"))
    result = None
    if not problems and generated:
        result = _reduce(metric, generated, reference)
        if result.score is None:
            problems.append(Problem("corpus", result.status, result.reason))
    influence = dict((result.details if result else {}).get("influence", {}))
    samples = {id: float(influence.get(id, 0.0)) for id in sorted(generated)}
    score = result.score if result else None
    details = {key: value for key, value in (result.details if result else {}).items() if key != "influence"}
    digest = _attempt(lambda: _digests(corpus.references, ("video", "audio")))
    return _observed(metric, corpus, samples, score, problems, digest, details)


def _reduce(
    metric: SetMetric, generated: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> MetricResult:
    try:
        return checked_result(metric.score_sets(FeatureSet.join(generated), FeatureSet.join(reference)))
    except UnavailableError as error:
        return MetricResult.unavailable(metric.name, str(error))
    except (VidmetricsError, ValueError, ArithmeticError) as error:
        return MetricResult.failed(metric.name, str(error))


def _rows(
    metric: SetMetric, samples: Iterable[Sample], scorer: Scorer, problems: list[Problem], kind: str
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for sample in samples:
        outcome = scorer.fill(sample.values, [metric])[0]
        if outcome.rows is not None:
            found[sample.id] = outcome.rows
        else:
            result = outcome.result or MetricResult.failed(metric.name, "no features")
            problems.append(Problem(f"{kind}{sample.id}", result.status, result.reason))
    return found


def _observed(
    metric: BaseMetric,
    corpus: Corpus,
    scores: Mapping[str, float],
    score: float | None,
    problems: Sequence[Problem],
    reference: str | None,
    details: Mapping[str, Any] | None = None,
) -> CorpusScore:
    if score is not None and not math.isfinite(score):
        problems = [*problems, Problem("corpus", "failed", f"the score is {score}")]
        score = None
    return CorpusScore(
        metric=full_identity(metric),
        higher_is_better=metric.higher_is_better,
        score=score,
        samples=dict(scores),
        paths={sample.id: sample.path for sample in corpus.samples},
        sample_ids=_sample_digest(corpus.samples, metric),
        reference=reference,
        binary=metric.binary,
        is_set=keeps_influence(type(metric)),
        is_mean=takes_mean(type(metric)),
        chooses=type(metric).counted is not BaseMetric.counted,
        noise_floor=metric.noise_floor,
        min_n=metric.min_n,
        problems=tuple(problems),
        details=details or {},
    )


def keeps_influence(cls: type[BaseMetric]) -> bool:
    """Whether a metric's numbers by clip are influences on the score, not scores."""
    return cls.is_set_metric or issubclass(cls, CompositeMetric)


def takes_mean(cls: type[BaseMetric]) -> bool:
    """Whether a metric's corpus score is the mean of its clips' scores."""
    return not keeps_influence(cls) and cls.corpus_score is BaseMetric.corpus_score


def full_identity(metric: BaseMetric) -> dict[str, Any]:
    """Return name, version, parameters, weights and decoder: what two comparable scores have in common."""
    from pytest_vidmetrics.engine.worker import weights_of
    from pytest_vidmetrics.media.recipe import RECIPE_ID

    try:
        weights = weights_of(metric)
    except UnavailableError:
        weights = {}
    return {**metric.identity(), "weights": weights, "decoder": RECIPE_ID}


def _reference_of(samples: Sequence[Sample], metric: BaseMetric) -> str | None:
    samples = [replace(sample, values=with_masks(with_sound(sample.values))) for sample in samples]
    keys = [key for key in (*metric.required_keys(), *metric.reads) if "reference" in key or "mask" in key]
    present = [key for key in keys if any(key in sample.values for sample in samples)]
    return _attempt(lambda: _digests(samples, present)) if present else None


def _sample_digest(samples: Sequence[Sample], metric: BaseMetric) -> str:
    """Return the digest of the ids and of the values, such as prompts, that the metric reads."""
    keys = [key for key in (*metric.required_keys(), *metric.reads) if key not in PATH_KEYS]
    return digest_json([[sample.id, {key: sample.values.get(key) for key in keys}] for sample in samples])


def _digests(samples: Iterable[Sample], keys: Sequence[str]) -> str:
    return digest_json(
        {
            sample.id: [
                digest_file(value) if key in PATH_KEYS and isinstance(value, str) else value
                for key in keys
                if (value := sample.values.get(key)) is not None
            ]
            for sample in samples
        }
    )


def _attempt(make: Callable[[], str]) -> str | None:
    """Return a digest, or nothing for a file that is gone: the sample itself then reports the problem."""
    try:
        return make()
    except OSError:
        return None
