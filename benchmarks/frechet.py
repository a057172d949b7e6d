"""Time of the Fréchet distance as a ratio to ``scipy.linalg.sqrtm`` of the covariances' product, in one process.

    OMP_NUM_THREADS=1 python -m benchmarks.frechet [dimension ...]

CPU time, the best of several turns each, so it means what it says with one thread only.
The features are Gaussian with variances 50/1, 50/2, ..., 50/D.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg

from pytest_vidmetrics.stats.frechet import frechet


def with_root(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance as it is usually computed."""
    gap = first.mean(axis=0) - second.mean(axis=0)
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(one @ two).real
    return float(gap @ gap + np.trace(one) + np.trace(two) - 2 * np.trace(root))


def best(works: list[Callable[[], object]], turns: int) -> list[float]:
    """Return the shortest time of each, taking turns."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(turns):
        for work, kept in zip(works, times, strict=True):
            start = time.process_time()
            work()
            kept.append(time.process_time() - start)
    return [min(kept) for kept in times]


def main(dimensions: list[int]) -> None:
    """Print one line per dimension and number of clips."""
    generator = np.random.default_rng(0)
    print(f"threads: {os.environ.get('OMP_NUM_THREADS', os.cpu_count())}, scipy {scipy.__version__}")
    for dimension in dimensions:
        scale = np.sqrt(50 / np.arange(1, dimension + 1))
        for count in (256, 2048):
            a, b = (generator.standard_normal((count, dimension)) * scale for _ in range(2))
            works: list[Callable[[], object]] = [lambda a=a, b=b: frechet(a, b), lambda a=a, b=b: with_root(a, b)]  # type: ignore[misc]
            ours, theirs = best(works, {400: 15, 1024: 3}.get(dimension, 1))
            error = abs(with_root(a, b) / frechet(a, b).distance - 1) if dimension < 2048 else float("nan")
            print(
                f"D={dimension} N={count}: {1e3 * ours:.1f} ms, sqrtm {1e3 * theirs:.0f} ms: "
                f"ratio {theirs / ours:.1f}; values differ by {error:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main([int(value) for value in sys.argv[1:]] or [400, 1024, 2048])
