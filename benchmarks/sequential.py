"""How often a gate that decides clip by clip is wrong at its margin, and how many clips it needs.

``python benchmarks/sequential.py [RUNS]`` prints, for each distribution of the paired differences (standard deviation
1 except for those in {-1, 0, 1}): the shares of false REGRESSED and false PASS when the harm *is* the margin, and the
median number of clips to decide without harm and with a large one, beside the clips that a design of fixed size needs.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from pytest_vidmetrics.stats.power import samples_needed
from pytest_vidmetrics.stats.sequential import betting, mixture_t

CAP = 1000
MARGIN = 0.25


def differences(kind: str, runs: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """Return ``(runs, CAP)`` differences with the given mean."""
    shape = (runs, CAP)
    if kind == "bernoulli":  # -1, 0 or 1: a clip of a metric of zeros and ones changes sides, or does not
        changed = rng.random(shape) < 0.5
        return np.where(changed, np.where(rng.random(shape) < 0.5 + mean, 1.0, -1.0), 0.0)
    noise = {
        "normal": lambda: rng.standard_normal(shape),
        "t3": lambda: rng.standard_t(3, shape) / math.sqrt(3),
        "exponential": lambda: rng.exponential(size=shape) - 1,
        "exponential, mirrored": lambda: 1 - rng.exponential(size=shape),
    }[kind]()
    return noise + mean


def shares(kind: str, runs: int, mean: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the shares of decisions above and below the margin, and the median number of clips looked at."""
    decide = betting if kind == "bernoulli" else mixture_t
    found = [decide(row, MARGIN) for row in differences(kind, runs, mean, rng)]
    above, below = (sum(one.side == side for one in found) / runs for side in ("above", "below"))
    return above, below, float(np.median([one.used for one in found]))


def main() -> None:
    runs = int(sys.argv[1]) if sys.argv[1:] else 10_000
    fixed = math.ceil(samples_needed(1.0, MARGIN, power=0.95))
    print(f"{runs} runs, margin {MARGIN}, alpha 0.05, cap {CAP}; fixed design with power 0.95: {fixed} clips")
    print("| differences | false REGRESSED | false PASS | clips, no harm | clips, harm |")
    print("| --- | --- | --- | --- | --- |")
    for kind in ("normal", "t3", "exponential", "exponential, mirrored", "bernoulli"):
        rng = np.random.default_rng(20)
        wrong = shares(kind, runs, MARGIN, rng)
        none = shares(kind, max(200, runs // 10), 0.0, rng)[2]
        large = shares(kind, max(200, runs // 10), 0.45 if kind == "bernoulli" else 1.0, rng)[2]
        print(f"| {kind} | {wrong[0]:.2%} | {wrong[1]:.2%} | {none:.0f} | {large:.0f} |")


if __name__ == "__main__":
    main()
