"""Time of the Fréchet distance as a ratio to ``scipy.linalg.sqrtm`` of the covariances' product, in one process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg

from pytest_vidmetrics.stats.frechet import frechet


def _with_root(first: np.ndarray, second: np.ndarray) -> float:
    gap = first.mean(axis=0) - second.mean(axis=0)
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(one @ two).real
    return float(gap @ gap + np.trace(one) + np.trace(two) - 2 * np.trace(root))


def _seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main(dimensions: list[int]) -> None:
    """Print one line per dimension and number of clips."""
    generator = np.random.default_rng(0)
    for dimension in dimensions:
        scale = np.sqrt(50 / np.arange(1, dimension + 1))
        for count in (256, 2048):
            a, b = (generator.standard_normal((count, dimension)) * scale for _ in range(2))
            ours = _seconds(lambda a=a, b=b: frechet(a, b), 3)  # type: ignore[misc]
            theirs = _seconds(lambda a=a, b=b: _with_root(a, b), 1)  # type: ignore[misc]
            print(f"D={dimension} N={count}: {1e3 * ours:.1f} ms, sqrtm {theirs / ours:.1f}x as long", flush=True)


if __name__ == "__main__":
    main([int(value) for value in sys.argv[1:]] or [400, 1024, 2048])
