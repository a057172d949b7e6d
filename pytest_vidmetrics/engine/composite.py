"""The score of a composite metric: the corpus scores of its parts, combined."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.engine.identity import full_identity
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric, absent_text

Members = Mapping[str, "BaseMetric | UnavailableError"]
"""The parts of a composite metric by name, or why one cannot be had."""


def lost(metric: CompositeMetric, members: Members, corpus: Corpus) -> CorpusScore | None:
    """Return the score of a composite that cannot be given at all, which is known before the first clip is decoded."""
    if text := absent_text(metric):
        return combine(metric, {}, corpus, (Problem("corpus", "unavailable", text),))
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
    return combine(metric, {}, corpus, tuple(problems)) if problems else None


def combine(
    metric: CompositeMetric,
    parts: Mapping[str, CorpusScore],
    corpus: Corpus,
    problems: tuple[Problem, ...] = (),
) -> CorpusScore:
    """Return the combined score of the parts' corpus scores; none where a part has problems or too few clips.

    ``samples`` are each clip's share in the score, to first order: the score of a part moves by a clip's score over the
    number of its clips. So the paired interval of the harm and the worst clips are those of the combined score.
    """
    problems = problems + tuple(
        Problem(f"{name}: {problem.sample}", problem.status, problem.reason)
        for name, part in parts.items()
        for problem in (*part.problems, *_too_few(part))
    )
    raw = {name: part.score for name, part in parts.items() if part.score is not None}
    complete = not problems and len(raw) == len(metric.parts)
    total = metric.combine(raw) if complete else None
    shares = _shares(metric, parts)
    if total is not None and not all(map(math.isfinite, (total, *shares.values()))):
        problems = (Problem("corpus", "failed", f"the score is {total}, from {raw}"),)
        total, complete = None, False
    return CorpusScore(
        metric={**full_identity(metric), "parts": {name: dict(part.metric) for name, part in parts.items()}},
        higher_is_better=metric.higher_is_better,
        score=total,
        samples=shares,
        paths={sample.id: sample.path for sample in corpus.samples if not parts or sample.id in shares},
        sample_ids=digest_json({name: [part.sample_ids, part.reference] for name, part in parts.items()}),
        reference=None,
        is_set=True,
        chooses=any(part.chooses for part in parts.values()),
        clips=_united(parts, "clips"),
        reference_clips=_united(parts, "reference_clips"),
        # The floors of the parts add up at worst, each by how far it moves the total.
        noise_floor=math.fsum(abs(slope) * parts[name].noise_floor for name, slope in _slopes(metric, parts)),
        min_n=metric.min_n,
        problems=problems,
        remarks=tuple(f"{name}: {text}" for name, part in parts.items() for text in part.remarks),
        details=metric.describe(raw) if complete else {},
    )


def _united(parts: Mapping[str, CorpusScore], facts: str) -> dict[str, ClipFacts]:
    """Return the facts of all clips by id: those of the first part that looked at a clip."""
    found: dict[str, ClipFacts] = {}
    for part in parts.values():
        found = {**getattr(part, facts), **found}
    return dict(sorted(found.items()))


def _too_few(part: CorpusScore) -> list[Problem]:
    if part.problems or part.n >= part.min_n:
        return []
    return [Problem("corpus", "failed", f"{part.n} scored samples are too few: it needs at least {part.min_n}")]


def _slopes(metric: CompositeMetric, parts: Mapping[str, CorpusScore]) -> list[tuple[str, float]]:
    return [(name, slope) for name, slope in metric.slopes().items() if name in parts]


def _shares(metric: CompositeMetric, parts: Mapping[str, CorpusScore]) -> dict[str, float]:
    """Return each clip's share in the score by id: it moves a part by its score over the number of the part's clips."""
    found: dict[str, list[float]] = {}
    for name, slope in _slopes(metric, parts):
        for id, score in parts[name].samples.items():
            found.setdefault(id, []).append(slope * score / parts[name].n)
    return {id: sum(values) for id, values in sorted(found.items())}
