"""How many clips are enough: bias and smallest visible change of ``common.fvd`` by extractor, on simulated features.

    OMP_NUM_THREADS=1 python -m benchmarks.enough [--runs 5] [--reference 2048]

Rows have variances falling as ``1 / i`` over as many dimensions as the extractor gives. The checkpoint's first five
means are half a deviation away from the reference's: that distance, of infinitely many clips, is 100 %. All columns
are shares of it.

- bias: what the score of N clips exceeds the distance by.
- paired, unpaired: the rise of the score that a one-sided 5 % test sees with 80 % power, when both checkpoints had
  the same prompts and seeds (a tenth of a row's variance is the checkpoint's own) and when they had not.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from benchmarks.coverage import Population
from pytest_vidmetrics.stats.frechet import frechet
from pytest_vidmetrics.stats.influence import influence, standard_error

DIMENSIONS = {"motion_energy": 37, "i3d, logits": 400, "clip": 512, "videomae": 768, "i3d, pooled": 1024}
COUNTS = (64, 256, 1024, 2048)
_GAP = 0.5
_OWN = 0.1
_VISIBLE = 1.645 + 0.842
"""Standard errors between no change and one that a one-sided 5 % test sees four times in five."""


def shares(dimension: int, count: int, reference_count: int, runs: int) -> tuple[float, float, float]:
    """Return bias, smallest visible paired change and smallest visible unpaired change."""
    population, generator = Population(dimension), np.random.default_rng(dimension + count)
    truth = _GAP**2 * float((1.0 / np.arange(1, 6)).sum())
    found = np.empty((runs, 3))
    for run in range(runs):
        reference = population.rows(population.noise(generator, reference_count))
        common = population.noise(generator, count)
        own = [math.sqrt(1 - _OWN) * common + math.sqrt(_OWN) * population.noise(generator, count) for _ in range(2)]
        first, second = (population.rows(noise, _GAP) for noise in own)
        weights = [influence(rows, reference) for rows in (first, second)]
        paired, single = standard_error(weights[1] - weights[0]), standard_error(weights[0])
        found[run] = frechet(first, reference).distance - truth, _VISIBLE * paired, _VISIBLE * math.sqrt(2) * single
    bias, paired, unpaired = found.mean(axis=0) / truth
    return float(bias), float(paired), float(unpaired)


def main() -> None:
    """Print one line per extractor and number of clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--reference", type=int, default=2048)
    args = parser.parse_args()
    print(f"reference of {args.reference} clips\nextractor      D     N     bias     paired   unpaired")
    for name, dimension in DIMENSIONS.items():
        for count in COUNTS:
            bias, paired, unpaired = shares(dimension, count, args.reference, args.runs)
            print(
                f"{name:13}  {dimension:<4}  {count:<4}  {100 * bias:5.0f} %  {100 * paired:6.1f} %  "
                f"{100 * unpaired:6.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
