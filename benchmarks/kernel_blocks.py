"""Processor time and memory of the kernel distances over all pairs of clips, by blocks, on one thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m benchmarks.kernel_blocks [clips ...]

Features are Gaussian. Memory is what the process takes more than before, at its most.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.kad import KernelAudioDistance
from pytest_vidmetrics.metrics.common.kvd import KVD
from pytest_vidmetrics.metrics.sets.features import Clips

Score = Callable[[Clips, Clips, int], MetricResult]


def clips(count: int, width: int, seed: int) -> Clips:
    """Return what yields the features of clips one after the other."""

    def read() -> Iterator[tuple[str, np.ndarray]]:
        generator = np.random.default_rng(seed)
        for i in range(count):
            yield f"{i:07d}", generator.normal(size=(1, width))

    return read


def main(counts: list[int]) -> None:
    """Print one line per metric and number of clips."""
    scores: list[tuple[str, Score, int]] = [
        ("common.kvd", KVD("motion_energy").score_parts, 400),
        ("audio.kad", KernelAudioDistance().score_parts, 768),
    ]
    scores[0][1](clips(50, 400, 1), clips(50, 400, 2), 1)  # imports
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, score, width in scores:
        for count in counts:
            start = time.process_time()
            score(clips(count, width, 1), clips(count, width, 2), 1)
            spent = time.process_time() - start
            rate = (2 * count) ** 2 * width / spent / 1e9
            most = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"{name}, {count} and {count} clips, D={width}: {spent:.1f} s, {rate:.0f} GFLOP/s, {most:.0f} MiB")


if __name__ == "__main__":
    main([int(value) for value in sys.argv[1:]] or [5_000, 10_000])
