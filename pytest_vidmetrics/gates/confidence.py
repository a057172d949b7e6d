"""How sure a verdict is: the interval of the harm, paired by sample."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline

if TYPE_CHECKING:
    from pytest_vidmetrics.stats.intervals import Interval


def harm_interval(observed: CorpusScore, baseline: Baseline, alpha: float) -> Interval | None:
    """Return the interval of the harm, or ``None`` for fewer than two samples or clusters, or without influences.

    Both bounds are one-sided at ``1 - alpha``. Per-sample metrics: Student's t on the paired differences, with a
    cluster-robust error where the case names a ``cluster`` key; around the harm itself where the corpus score is not
    the mean; no narrower than the exact bound for zeros and ones without clusters; Welch's for two samples where the
    two runs counted other clips. Set metrics: the paired influence interval. To first order a clip moves the score by
    its influence, so the differences of the recorded influences carry the standard error of the difference of the two
    scores (same clips, same reference).
    """
    from pytest_vidmetrics.stats.binary import paired_shares
    from pytest_vidmetrics.stats.intervals import paired_interval, t_interval, welch_interval

    sign = 1.0 if observed.higher_is_better else -1.0
    ids = [id for id in observed.samples if id in baseline.samples]
    changes = [sign * (baseline.samples[id] - observed.samples[id]) for id in ids]
    clusters = [observed.clusters[id] for id in ids] if observed.clusters else None
    if len(set(clusters or ids)) < 2 or observed.score is None:
        return None
    if observed.is_mean and observed.samples.keys() != baseline.samples.keys():
        was, now = list(baseline.samples.values()), list(observed.samples.values())
        return welch_interval(was, now, alpha=alpha) if sign > 0 else welch_interval(now, was, alpha=alpha)
    if _has_exact_test(observed, baseline):
        lost, won = changed_sides(observed, baseline)
        return paired_shares(lost, won, len(ids), alpha=alpha)
    if observed.is_mean:
        return paired_interval(changes, clusters, alpha=alpha)
    if observed.is_set and not (any(observed.samples.values()) and any(baseline.samples.values())):
        return None  # a metric that does not say what each clip does to it
    harm = sign * (baseline.score - observed.score)
    # An influence is 1 / n of a clip's term: times n it enters the error of a mean.
    scale = len(ids) if observed.is_set else 1
    spread = paired_interval([scale * change for change in changes], clusters, alpha=alpha)
    return t_interval(harm, spread.se, spread.df, alpha=alpha, kind="paired influence" if observed.is_set else "paired")


def regression_p(observed: CorpusScore, baseline: Baseline, interval: Interval | None, margin: float) -> float | None:
    """Return the p-value against "not worse by more than the margin", or ``None`` without an interval.

    For a metric of zeros and ones without a margin or clusters it is McNemar's exact one-sided test of the clips
    that changed sides.
    """
    from pytest_vidmetrics.stats.binary import mcnemar_worse
    from pytest_vidmetrics.stats.intervals import p_inferior

    if margin == 0.0 and _has_exact_test(observed, baseline):
        lost, won = changed_sides(observed, baseline)
        return mcnemar_worse(won, lost)
    if interval is None:
        return None
    # p_inferior asks how much better something is: the harm with its sign and its ends turned round.
    gain = replace(interval, estimate=-interval.estimate, low=-interval.high, high=-interval.low)
    return p_inferior(gain, margin)


def _has_exact_test(observed: CorpusScore, baseline: Baseline) -> bool:
    same = observed.samples.keys() == baseline.samples.keys()
    return observed.binary and observed.is_mean and same and not observed.clusters


def changed_sides(observed: CorpusScore, baseline: Baseline) -> tuple[int, int]:
    """Return how many clips of a binary metric got worse and how many got better."""
    sign = 1.0 if observed.higher_is_better else -1.0
    changes = [sign * (now - baseline.samples[id]) for id, now in observed.samples.items() if id in baseline.samples]
    return sum(change < 0 for change in changes), sum(change > 0 for change in changes)


def settling_size(interval: Interval, margin: float, n: int) -> int | None:
    """Return about how many samples would settle on which side of the margin the harm lies."""
    from pytest_vidmetrics.stats.power import samples_needed

    # The standard deviation of one sample, from the error of the mean of n.
    gap, spread = abs(margin - interval.estimate), interval.se * math.sqrt(n)
    if gap == 0.0 or spread == 0.0:
        return None
    try:
        return max(n + 1, math.ceil(samples_needed(spread, gap, alpha=1.0 - interval.level)))
    except ValueError:  # beyond any number of samples worth naming
        return None
