"""Intervals for the difference of two shares over the same samples: metrics of zeros and ones."""

from __future__ import annotations

from pytest_vidmetrics.stats.intervals import Interval, paired_interval


def paired_shares(wins: int, losses: int, n: int, *, alpha: float = 0.05) -> Interval:
    """Return the interval of ``(wins - losses) / n``: the gain in the share of ones among ``n`` pairs.

    ``wins`` counts pairs where only the candidate scored 1, ``losses`` those where only the baseline did. Each bound
    is the wider of two: Student's t, too narrow for few discordant pairs, and the exact bound of Clopper and Pearson
    (1934) on the wins among them, which leaves out 0 exactly where McNemar's exact one-sided test does at ``alpha``.
    Raises ``ValueError`` for counts that do not fit, fewer than 2 pairs, or ``alpha`` outside (0, 0.5].
    """
    discordant = wins + losses
    if min(wins, losses) < 0 or discordant > n:
        raise ValueError(f"{wins} wins and {losses} losses are not a part of {n} pairs")
    usual = paired_interval([1.0] * wins + [-1.0] * losses + [0.0] * (n - discordant), alpha=alpha)
    if not discordant:
        # A share s of wins among the discordant pairs is a gain of d/n (2 s - 1) over all pairs.
        return usual
    from scipy import special  # slow to import, and few runs get here

    low = float(special.betaincinv(wins, losses + 1, alpha)) if wins else 0.0
    high = float(special.betainccinv(wins + 1, losses, alpha)) if losses else 1.0
    exact_low, exact_high = (discordant / n * (2.0 * share - 1.0) for share in (low, high))
    return Interval(
        usual.estimate,
        min(usual.low, exact_low),
        max(usual.high, exact_high),
        usual.se,
        usual.df,
        usual.level,
        "paired shares",
    )


def mcnemar_worse(wins: int, losses: int) -> float:
    """Return McNemar's exact one-sided p-value: small means that the candidate loses more pairs than it wins.

    Raises ``ValueError`` for negative counts.
    """
    if min(wins, losses) < 0:
        raise ValueError(f"counts cannot be negative, got {wins} and {losses}")
    from scipy import special

    # bdtrc(k, n, p) is the chance of more than k: at least `losses` of the discordant pairs.
    return float(special.bdtrc(losses - 1, wins + losses, 0.5)) if losses else 1.0


def allowed_share(share: float, n: int, *, alpha: float = 0.05) -> float:
    """Return the largest share of ``n`` that is not significantly more than ``share``, by the exact binomial test.

    A count above it would come about with probability ``alpha`` at most if each had probability ``share``.
    Raises ``ValueError`` for a share outside [0, 1] or fewer than one.
    """
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(f"expected a share in [0, 1] of at least 1, got {share} of {n}")
    if not share:
        return 0.0
    from scipy import special  # slow to import, and few runs get here

    return next(count for count in range(n + 1) if special.bdtr(count, n, share) >= 1 - alpha) / n
