"""What a verdict says in words: why there is no score, what was decided, and what to know besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.verdict import Status
from pytest_vidmetrics.core.wording import interval, number, some
from pytest_vidmetrics.gates import comparable
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.confidence import changed_sides, settling_size
from pytest_vidmetrics.gates.margin import Margin, blind, modes_text, widened

if TYPE_CHECKING:
    from pytest_vidmetrics.stats.intervals import Interval


def without_score(observed: CorpusScore) -> str:
    """Return how many samples have no score and the first reason; a reference or the corpus is not a sample."""
    lost = [problem for problem in observed.problems if problem.sample in observed.paths]
    first = (lost or observed.problems)[0]
    named = {problem.sample for problem in lost}
    counts = f"{len(named)} of {len(observed.paths)} samples have no score; first" if named else "no score"
    return f"{counts}: {first.sample}: {first.reason}"


def problem_notes(problems: tuple[Problem, ...], limit: int = 8) -> tuple[str, ...]:
    """One line for each reason: a file that all clips need is missing once."""
    samples: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        samples.setdefault((problem.status, problem.reason), []).append(problem.sample)
    lines = [
        f"{ids[0]}{f' and {len(ids) - 1} more' if ids[1:] else ''}: {status}: {reason}"
        for (status, reason), ids in samples.items()
    ]
    return (*lines[:limit], f"and {len(lines) - limit} more") if len(lines) > limit else tuple(lines)


def notes_on(
    policy: Policy, observed: CorpusScore, baseline: Baseline, chosen: Margin, found: Interval | None
) -> tuple[str, ...]:
    """Return what a reader should know besides the verdict: doubt, changed sides, margins that miss or were widened."""
    margin, notes = chosen.value, [*observed.remarks, *comparable.notes(policy, observed, baseline)]
    if policy.reason is not None and (text := widened(policy, observed, baseline)):
        notes.append(f"{text}: {policy.reason}")
    notes += filter(None, (blind(chosen, observed),))
    gone = sorted(baseline.samples.keys() - observed.samples.keys())
    new = sorted(observed.samples.keys() - baseline.samples.keys())
    if gone or new:  # of a metric that chooses: for others that is STALE
        texts = [f"{some(ids)} {word}" for ids, word in ((gone, "no longer count"), (new, "count now")) if ids]
        notes.append(f"{observed.n} clips count, {baseline.n} in the baseline: {'; '.join(texts)}")
    if found is not None and found.low <= margin < found.high:
        enough = settling_size(found, margin, observed.n)
        text = f"the interval {interval((found.low, found.high))} of the harm holds the margin"
        notes.append(text + (f"; about {enough} samples would settle it" if enough else ""))
    if observed.binary:
        lost, won = changed_sides(observed, baseline)
        notes.append(f"{lost} clips got worse and {won} better")
    given = max(policy.abs or 0.0, (policy.rel or 0.0) * abs(baseline.score))
    if baseline.noise is not None and 0.0 < given < policy.sigma * baseline.noise.sigma:
        noise = baseline.noise
        notes.append(
            f"the margin given, {number(given)}, lies below {policy.sigma:g} sigma of the noise measured over "
            f"{noise.runs} runs ({noise.kind}), {number(policy.sigma * noise.sigma)}: the noise counts"
        )
    if baseline.noise is not None and (modes := baseline.noise.modes) is not None and margin < modes[1] - modes[0]:
        notes.append(modes_text(modes, baseline.noise.facts))
    return tuple(notes)


def sentence_of(status: Status, harm: float, margin: float, source: str, found: Interval | None) -> str:
    """Return what was decided, with the numbers that decided it."""
    # "strict" fails a harm within the margin whose upper end is beyond it.
    if status == "REGRESSED" and harm <= margin and found is not None:
        most, limit = _apart(found.high, margin)
        return f"not shown to be within the margin of {limit} ({source}): it may be worse by {most}"
    moved, limit = _apart(abs(harm), margin)
    if status == "REGRESSED":
        return f"worse by {moved}, more than the margin of {limit} ({source})"
    if status == "IMPROVED":
        return f"better by {moved}, more than the margin of {limit}; record it with --update-baselines"
    return f"within the margin of {number(margin)} ({source})"


def _apart(one: float, other: float) -> tuple[str, str]:
    """Return two numbers as tables show them, with more digits where they would look alike and are not."""
    # 17 digits tell any two floats apart.
    digits = next((d for d in range(5, 17) if one == other or number(one, d) != number(other, d)), 17)
    return number(one, digits), number(other, digits)
