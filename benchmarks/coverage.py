"""How often the intervals of set metrics hold what they should, on simulated populations.

    OMP_NUM_THREADS=1 python -m benchmarks.coverage [--runs 1000] [--bootstrap]

A clip is a row of features; a checkpoint draws one row per prompt. The reference is fixed. "Related" checkpoints share
nine tenths of a row's variance, as two checkpoints with the same prompts and seeds do; "unrelated" ones share none.

- coverage: share of two-sided 95 % intervals of the change that hold the mean change of all runs.
- false alarms: share of one-sided 5 % tests that call a checkpoint worse which draws from the same population.
- width: mean standard error over the standard deviation of the change over all runs; 1 is right, more is cautious.

``--bootstrap`` adds the false alarms of resampling pairs of clips, which takes 200 times as long.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pytest_vidmetrics.stats.frechet import Rows, frechet
from pytest_vidmetrics.stats.influence import influence, standard_error
from pytest_vidmetrics.stats.intervals import t_interval
from pytest_vidmetrics.stats.kernel import mmd_influence, polynomial, polynomial_mmd
from pytest_vidmetrics.stats.prdc import coverage_influence, prdc

Score = Callable[[Rows, Rows], float]
Influence = Callable[[Rows, Rows], Rows]

METRICS: dict[str, tuple[Score, Influence]] = {
    "fvd": (lambda a, b: frechet(a, b).distance, influence),
    "kvd": (polynomial_mmd, lambda a, b: mmd_influence(a, b, polynomial)),
    "prdc": (lambda a, b: prdc(a, b).coverage, coverage_influence),
}


@dataclass(frozen=True)
class Population:
    """Rows of ``dimension`` features with variances falling as ``1 / i``, of one of three shapes."""

    dimension: int
    shape: str = "normal"

    def noise(self, generator: np.random.Generator, count: int) -> Rows:
        """Return ``(count, dimension)`` standardised rows."""
        size = (count, self.dimension)
        if self.shape == "skewed":
            return generator.exponential(size=size) - 1.0
        if self.shape == "heavy":
            return generator.standard_t(6, size=size) / np.sqrt(1.5)
        return generator.standard_normal(size)

    def rows(self, noise: Rows, shift: float = 0.0) -> Rows:
        """Return features; ``shift`` moves the first five means by a share of their deviations."""
        scale = np.arange(1, self.dimension + 1) ** -0.5
        moved = noise.copy()
        moved[:, :5] += shift
        return moved * scale


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    metric: str
    population: Population
    count: int
    related: bool = True
    gap: float = 0.5
    shift: float = 0.1


@dataclass(frozen=True)
class Rates:
    """What a setting showed."""

    coverage: float
    alarms: float
    width: float
    bootstrap_alarms: float | None = None


def measure(setting: Setting, runs: int, *, bootstrap: int = 0, seed: int = 0) -> Rates:
    """Simulate pairs of checkpoints. Both are ``gap`` away from the reference, a changed one ``shift`` further."""
    generator = np.random.default_rng(seed)
    population, count = setting.population, setting.count
    reference = population.rows(population.noise(generator, max(4 * count, 512)))
    score, weigh = METRICS[setting.metric]
    share = np.sqrt(0.9) if setting.related else 0.0
    changes, errors = np.empty((runs, 2)), np.empty((runs, 2))
    boot = np.zeros(runs)
    for run in range(runs):
        common = population.noise(generator, count)
        own = [share * common + np.sqrt(1 - share**2) * population.noise(generator, count) for _ in range(3)]
        sets = [population.rows(own[i], setting.gap + shift) for i, shift in enumerate((0.0, 0.0, setting.shift))]
        scores = [score(rows, reference) for rows in sets]
        weights = [weigh(rows, reference) for rows in sets]
        for column in (0, 1):
            changes[run, column] = scores[column + 1] - scores[0]
            errors[run, column] = standard_error(weights[column + 1] - weights[0])
        if bootstrap:
            picks = generator.integers(0, count, (bootstrap, count))
            draws = [score(sets[1][pick], reference) - score(sets[0][pick], reference) for pick in picks]
            boot[run] = np.quantile(draws, 0.05) > 0
    reach = t_interval(0.0, 1.0, count - 1, alpha=0.025).high
    one_sided = t_interval(0.0, 1.0, count - 1, alpha=0.05).high
    worse = changes[:, 0] if METRICS[setting.metric] is not METRICS["prdc"] else -changes[:, 0]
    return Rates(
        coverage=float(np.mean(np.abs(changes[:, 1] - changes[:, 1].mean()) <= reach * errors[:, 1])),
        alarms=float(np.mean(worse > one_sided * errors[:, 0])),
        width=float(errors[:, 1].mean() / changes[:, 1].std(ddof=1)),
        bootstrap_alarms=float(boot.mean()) if bootstrap else None,
    )


def settings() -> list[Setting]:
    """Return the lines of the table."""
    few = [
        Setting("fvd", Population(16), 64),
        Setting("fvd", Population(16), 256),
        Setting("fvd", Population(16, "skewed"), 256),
        Setting("fvd", Population(16, "heavy"), 256),
        Setting("fvd", Population(16), 256, gap=0.0, shift=0.3),
        Setting("fvd", Population(37), 64),
        Setting("fvd", Population(37), 64, related=False),
        Setting("fvd", Population(37), 256, related=False),
        Setting("fvd", Population(100), 64),
        Setting("fvd", Population(100), 64, related=False),
        Setting("fvd", Population(100), 128),
        Setting("fvd", Population(100), 512),
        Setting("fvd", Population(400), 64),
        Setting("fvd", Population(400), 64, gap=0.0, shift=0.3),
        Setting("fvd", Population(400, "skewed"), 256),
    ]
    others = [Setting(name, Population(37), count) for name in ("kvd", "prdc") for count in (64, 256)]
    others += [Setting(name, Population(37), 128, related=False) for name in ("kvd", "prdc")]
    others += [Setting("kvd", Population(37), 256, gap=0.0)]
    return few + others


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--bootstrap", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    print("metric  D    N    population  pairs      gap   coverage  false alarms  width  bootstrap alarms")
    for setting in settings():
        if args.only and setting.metric != args.only:
            continue
        found = measure(setting, args.runs, bootstrap=200 if args.bootstrap else 0)
        pairs = "related" if setting.related else "unrelated"
        boot = "" if found.bootstrap_alarms is None else f"{100 * found.bootstrap_alarms:.1f} %"
        print(
            f"{setting.metric:6}  {setting.population.dimension:<4} {setting.count:<4} {setting.population.shape:10}  "
            f"{pairs:9}  {setting.gap:<4}  {100 * found.coverage:6.1f} %  {100 * found.alarms:10.1f} %  "
            f"{found.width:5.2f}  {boot}",
            flush=True,
        )


if __name__ == "__main__":
    main()
