"""From the five logits of a score token to numbers: the mean digit, the weight of the digits, upstream's soft score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Digits:
    """How likely the digits 1 to 5 are at one place of an answer.

    ``shares`` are their probabilities among all tokens; all are 0 where sampling left every digit out.
    """

    shares: tuple[float, float, float, float, float]

    @classmethod
    def of(cls, logits: Sequence[float], log_sum: float) -> Digits:
        """Return them from the five logits and the log of the sum of the exponentials of all logits."""
        one, two, three, four, five = (math.exp(logit - log_sum) for logit in logits)
        return cls((one, two, three, four, five))

    @property
    def mass(self) -> float:
        """How likely it is that the token is one of the five: below 0.9 the score says little."""
        return min(1.0, math.fsum(self.shares))  # the log of the sum is float32

    @property
    def best(self) -> int | None:
        """The likeliest digit, the smallest of equal ones; ``None`` when none is possible."""
        return 1 + self.shares.index(max(self.shares)) if self.mass else None

    @property
    def expectation(self) -> float | None:
        """The mean digit, 1 to 5, among the five; ``None`` when none is possible. It rises with every better digit."""
        return (
            math.fsum(k * share for k, share in enumerate(self.shares, start=1)) / math.fsum(self.shares)
            if self.mass
            else None
        )

    @property
    def soft(self) -> float:
        """Upstream's ``ll_based_soft_score_normed``: the likeliest digit times its share among the five, 4 places.

        Not monotone: between two equally likely digits it is half of the lower one, far below both. 0 when none is
        possible.
        """
        return round((self.best or 0) * max(self.shares) / math.fsum(self.shares), 4) if self.mass else 0.0
