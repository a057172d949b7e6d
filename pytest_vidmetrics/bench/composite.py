"""What a composite gate sees: the observations of its parts, combined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pytest_vidmetrics.bench.observe import Observed, Problem, full_identity
from pytest_vidmetrics.bench.samples import Corpus
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric, absent_text

ObservePart = Callable[[BaseMetric, Corpus], Observed]


def observe_composite(
    metric: CompositeMetric, members: Mapping[str, BaseMetric | UnavailableError], corpus: Corpus, observe: ObservePart
) -> Observed:
    """Combine the observations of ``members``, the metric's parts by name.

    ``samples`` are each clip's share in the score, to first order: the score of a part moves by a clip's score over the
    number of its clips. So the paired interval of the harm and the worst clips are those of the combined score.
    """
    lost = _lost(metric, members, corpus)
    if lost:
        return _observed(metric, {}, corpus, lost)
    parts = {
        name: observe(member, corpus.of(name)) for name, member in members.items() if isinstance(member, BaseMetric)
    }
    problems = tuple(
        Problem(f"{name}: {problem.sample}", problem.status, problem.reason)
        for name, part in parts.items()
        for problem in part.problems
    )
    return _observed(metric, parts, corpus, problems)


def _lost(
    metric: CompositeMetric, members: Mapping[str, BaseMetric | UnavailableError], corpus: Corpus
) -> tuple[Problem, ...]:
    """Return why the score cannot be given at all: known before the first clip is decoded."""
    if text := absent_text(metric):
        return (Problem("corpus", "unavailable", text),)
    problems = [
        Problem(name, "unavailable", str(member))
        for name, member in members.items()
        if isinstance(member, UnavailableError)
    ]
    problems += [
        Problem(name, "unavailable", f"{metric.name} needs clips for {name}, and the case has none")
        for name in metric.parts
        if not corpus.of(name).samples
    ]
    return tuple(problems)


def _observed(
    metric: CompositeMetric, parts: Mapping[str, Observed], corpus: Corpus, problems: tuple[Problem, ...]
) -> Observed:
    raw = {name: part.score for name, part in parts.items() if part.score is not None}
    complete = not problems and len(raw) == len(metric.parts)
    slopes = metric.slopes()
    shares: dict[str, list[float]] = {}
    for name, part in parts.items():
        for id, score in part.samples.items():
            shares.setdefault(id, []).append(slopes[name] * score / part.n)
    digests = {name: [part.sample_ids, part.reference] for name, part in parts.items()}
    return Observed(
        metric={**full_identity(metric), "parts": {name: dict(part.metric) for name, part in parts.items()}},
        higher_is_better=metric.higher_is_better,
        score=metric.combine(raw) if complete else None,
        samples={id: math.fsum(values) for id, values in sorted(shares.items())},
        paths={sample.id: sample.path for sample in corpus.samples if not parts or sample.id in shares},
        sample_ids=digest_json(digests),
        reference=None,
        is_set=True,
        is_mean=False,
        noise_floor=math.fsum(abs(slopes[name]) * part.noise_floor for name, part in parts.items()),
        min_n=metric.min_n,
        problems=problems,
        remarks=tuple(f"{name}: {text}" for name, part in parts.items() for text in part.remarks),
        details=metric.describe(raw) if complete else {},
    )
