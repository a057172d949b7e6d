"""Within what the score of a corpus lies, for clips like these: what a baseline records beside the score."""

from __future__ import annotations

from pytest_vidmetrics.core.scores import CorpusScore

LEVEL = 0.95


def score_interval(observed: CorpusScore) -> tuple[float, float] | None:
    """Return the two-sided 95 % interval of a score, or ``None`` for fewer than two samples or clusters.

    Student's t on the scores of the samples, robust to clusters where the case names a key; for a set metric on what
    each clip does to the score, to first order. Information for the reader: gates use the paired interval of the
    difference, which is far narrower.
    """
    from pytest_vidmetrics.stats.intervals import paired_interval, t_interval

    clusters = [observed.clusters[id] for id in observed.samples] if observed.clusters else None
    if observed.score is None or len(set(clusters or observed.samples)) < 2:
        return None
    if observed.is_set and not any(observed.samples.values()):
        return None  # a metric that does not say what each clip does to it
    # An influence is 1 / n of a clip's term: times n it enters the error of a mean.
    scale = observed.n if observed.is_set else 1
    spread = paired_interval([scale * value for value in observed.samples.values()], clusters)
    # two-sided: half of the error at each end.
    found = t_interval(observed.score, spread.se, spread.df, alpha=(1.0 - LEVEL) / 2)
    return found.low, found.high
