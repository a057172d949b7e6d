"""Verdicts: one gate's observation against its baseline. Nothing that is missing, skipped or NaN ever passes."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.verdict import Status, Verdict
from pytest_vidmetrics.core.wording import counted, interval, number
from pytest_vidmetrics.gates.baseline import Baseline, contradiction
from pytest_vidmetrics.gates.comparable import no_improvement, unlike_baseline, unlike_reference
from pytest_vidmetrics.gates.confidence import harm_interval, regression_p
from pytest_vidmetrics.gates.digits import rounded
from pytest_vidmetrics.gates.margin import Margin, margin_of, widened
from pytest_vidmetrics.gates.reasons import notes_on, problem_notes, sentence_of, without_score
from pytest_vidmetrics.gates.sequential import look, refusal
from pytest_vidmetrics.gates.sight import detection_limit, too_blind
from pytest_vidmetrics.gates.stale import answered, common, differences
from pytest_vidmetrics.gates.worst import worst_clips

if TYPE_CHECKING:
    from pytest_vidmetrics.stats.intervals import Interval


def judge(config: MetricConfig, observed: CorpusScore, baseline: Baseline | None, *, looked_for: str = "") -> Verdict:
    """Decide one gate, in the order in which a doubt outranks a number.

    Both sides are compared with the digits that baselines keep; the verdict says the score as it was observed.
    ``looked_for`` says where a baseline would be.
    """
    if verdict := blocked(config, observed, has_baseline=baseline is not None):
        return verdict
    # Rounded as the baseline was: otherwise an unchanged score would differ by the rounding.
    kept, baseline = answered(rounded(observed), baseline)
    whole = len(kept.samples) == len(observed.samples)
    # What is shown is the score as it was computed, unless some samples do not count.
    return replace(_judge(config, kept, baseline, looked_for), now=observed.score if whole else kept.score)


def _judge(config: MetricConfig, observed: CorpusScore, baseline: Baseline | None, looked_for: str) -> Verdict:
    try:
        with warnings.catch_warnings():  # of numbers that overflow: what comes out of them is not used
            warnings.simplefilter("ignore", RuntimeWarning)
            return (
                _missing(config, observed, baseline, looked_for)
                or _stale(config, observed, baseline)
                or _compare(config, observed, baseline)
            )
    except (OverflowError, FloatingPointError) as error:
        reason = f"these scores are too large to compare: {error}"
        return Verdict("ERROR", reason, metric=config.metric, now=observed.score, n=observed.n)


_LARGEST = 1e150
"""Beyond it, squares and differences are no floats: there is no interval."""


def blocked(config: MetricConfig, observed: CorpusScore, *, has_baseline: bool) -> Verdict | None:
    """Return the verdict of an observation that cannot be compared or recorded, or ``None``."""
    # min_n in the manifest replaces the metric's own, upwards or downwards.
    floor = config.policy.min_n if config.policy.min_n is not None else observed.min_n
    by_status = {status: [p for p in observed.problems if p.status == status] for status in ("unavailable", "skipped")}
    facts: dict[str, Any] = {
        "metric": config.metric,
        "n": observed.n,
        "notes": problem_notes(observed.problems),
        "details": dict(observed.details),
    }
    # A metric that nobody listed and that no baseline asks for may be missing; a baseline makes it binding.
    optional = not config.listed and not has_baseline
    if unavailable := by_status["unavailable"]:
        status: Status = "SKIPPED" if optional else "UNAVAILABLE"
        return Verdict(status, unavailable[0].reason, **facts)
    if by_status["skipped"] and observed.n == 0 and optional:
        return Verdict("SKIPPED", f"does not apply here: {by_status['skipped'][0].reason}", **facts)
    # The score would be the mean of other clips than the baseline's.
    if observed.problems:
        return Verdict("ERROR", without_score(observed), **facts)
    if observed.score is None:
        return Verdict("ERROR", "no sample was scored", **facts)
    if (largest := max(map(abs, (observed.score, *observed.samples.values())))) > _LARGEST:
        return Verdict("ERROR", f"a score is as large as {largest:g}: nothing above {_LARGEST:g} is compared", **facts)
    if observed.n < floor:
        return Verdict("ERROR", f"{observed.n} scored samples are too few: the gate needs at least {floor}", **facts)
    if text := unlike_reference(config.policy, observed):
        return Verdict("ERROR", text, now=observed.score, **{**facts, "notes": observed.remarks})
    return None


def _missing(config: MetricConfig, observed: CorpusScore, baseline: Baseline | None, looked_for: str) -> Verdict | None:
    if baseline is not None:
        return None
    return Verdict(
        "MISSING",
        f"no baseline is recorded for this gate{looked_for and f': {looked_for}'}",
        metric=config.metric,
        now=observed.score,
        n=observed.n,
        notes=observed.remarks,
        details=dict(observed.details),
    )


def _stale(config: MetricConfig, observed: CorpusScore, baseline: Baseline | None) -> Verdict | None:
    assert baseline is not None, "a gate without a baseline is MISSING"
    lines = differences(baseline, observed)
    facts: dict[str, Any] = {"metric": config.metric, "now": observed.score, "n": observed.n}
    if not lines:
        wrong = contradiction(baseline, observed)
        return Verdict("ERROR", f"{wrong}; record it again with --update-baselines", **facts) if wrong else None
    return Verdict(
        "STALE",
        f"the baseline was recorded under other conditions and is not compared: {lines[0]}",
        baseline=baseline.score,
        notes=(*lines, *_on_common_samples(config, observed, baseline)),
        details=dict(observed.details),
        **facts,
    )


def _on_common_samples(config: MetricConfig, observed: CorpusScore, baseline: Baseline) -> tuple[str, ...]:
    """Return what a comparison of the common samples would say, where only samples were added or removed."""
    both = common(baseline, observed)
    if both is None:
        return ()
    part = judge(config, both.observed, both.recorded)
    return (
        f"on the {counted(both.observed.n, 'sample')} of both: {part.status}, {part.reason} "
        f"(baseline {number(part.baseline)}, now {number(part.now)}, interval of the harm {interval(part.interval)})",
        f"--extend-baselines takes that over ({both.text()}) and keeps the recorded values of the others",
    )


def _compare(config: MetricConfig, observed: CorpusScore, baseline: Baseline | None) -> Verdict:
    assert baseline is not None, "a gate without a baseline is MISSING"
    policy, seen = config.policy, None
    if policy.decide == "sequential":
        # Before looking: a score of a set is not made of parts that could be looked at one by one.
        if fault := refusal(observed.is_mean, observed.chooses):
            return Verdict("ERROR", fault, metric=config.metric, baseline=baseline.score, now=observed.score)
        seen = look(policy, observed, baseline)
        observed, baseline = seen.observed, seen.recorded
    assert observed.score is not None, "an observation without a score is blocked"
    # Harm is positive for worse, whichever way the metric counts.
    sign = 1.0 if observed.higher_is_better else -1.0
    harm = sign * (baseline.score - observed.score)
    chosen = seen.margin if seen is not None else margin_of(policy, observed, baseline)
    margin, source = chosen.value, chosen.source
    # An interval for a number of clips that was fixed before is wrong where the scores say when to stop.
    harms = _finite(harm_interval(observed, baseline, policy.alpha)) if seen is None else None
    facts: dict[str, Any] = {
        "metric": config.metric,
        "baseline": baseline.score,
        "now": observed.score,
        "harm": harm,
        "margin": margin,
        "margin_from": source,
        "interval": (harms.low, harms.high) if harms else None,
        "p": regression_p(observed, baseline, harms, margin) if seen is None else seen.p,
        "n": observed.n,
        "decide": policy.decide,
        "worst": worst_clips(observed, baseline),
        "details": dict(observed.details),
    }
    if not (math.isfinite(margin) and math.isfinite(harm)):
        return Verdict("ERROR", f"the margin is {margin} ({source}) and the harm {harm}: not finite numbers", **facts)
    if policy.decide in ("strict", "lenient") and harms is None:
        return Verdict("ERROR", f"decide = {policy.decide!r} needs at least two independent samples", **facts)
    facts["sees"] = limit = detection_limit(policy, baseline, chosen, harms)
    status = _decide(policy.decide, harm, margin, harms)
    notes = notes_on(policy, observed, baseline, chosen, harms)
    if seen is not None:
        status, notes = seen.status(harm), (seen.note(policy), *notes)
    if text := unlike_baseline(policy, observed, baseline):
        return Verdict("ERROR", text, notes=notes, **facts)
    if seen is not None and status == "ERROR":
        return Verdict("ERROR", seen.undecided(harm), notes=notes, **facts)
    # A regression needs no better sight to be believed; a pass does.
    if status != "REGRESSED" and (fault := _less_sight(policy, observed, baseline, chosen, limit)):
        return Verdict("ERROR", fault, notes=notes, **facts)
    if status == "IMPROVED":
        # A gain by frozen or shorter clips is not a gain.
        why, wrong = no_improvement(observed, baseline)
        better = f"better by {number(-harm)}, which is not an improvement: {why}"
        if why:
            return Verdict("ERROR" if wrong else "PASS", better, notes=notes if wrong else (better, *notes), **facts)
    sentence = sentence_of(status, harm, margin, source, harms)
    return Verdict(status, f"{sentence}: sure after {seen.text()}" if seen else sentence, notes=notes, **facts)


def _less_sight(policy: Policy, observed: CorpusScore, baseline: Baseline, margin: Margin, limit: float | None) -> str:
    """Return why a gate must not pass that sees less than it has to, or than it did; empty when there is no reason."""
    if text := too_blind(policy, observed, limit, margin):
        return text
    if policy.reason is None and (text := widened(policy, observed, baseline)):
        return f'this gate sees less than before: {text}; say why with reason = "..." in the manifest'
    return ""


def _finite(found: Interval | None) -> Interval | None:
    """Return an interval whose ends are numbers: differences of 1e300 have none."""
    return found if found is not None and math.isfinite(found.low) and math.isfinite(found.high) else None


def _decide(rule: str, harm: float, margin: float, interval: Interval | None) -> Status:
    """Return the status by the policy's rule: the estimate, or the end of the interval that the rule looks at."""
    # Strict and lenient were refused without an interval; of sequential the status is replaced by what it saw.
    tested = harm
    if interval is not None:
        tested = {"point": harm, "strict": interval.high, "lenient": interval.low}[rule]
    return "REGRESSED" if tested > margin else "IMPROVED" if -harm > margin else "PASS"


def recorded(observed: CorpusScore, new: Baseline, old: Baseline | None) -> Verdict:
    """Return the verdict of a gate in update mode: what will be written, or that nothing changes."""
    status: Status = "RECORDED" if old is None else "UNCHANGED" if new.same_as(old) else "UPDATED"
    reason = {
        "RECORDED": "a first baseline is written",
        "UPDATED": "the baseline is replaced",
        "UNCHANGED": "the baseline already says this",
    }[status]
    return Verdict(
        status,
        reason,
        metric=str(observed.metric.get("name", "")),
        baseline=old.score if old else None,
        now=observed.score,
        n=observed.n,
        notes=observed.remarks,
        details=dict(observed.details),
    )
