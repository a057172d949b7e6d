"""What more than one thread does to small and large reductions: alone, and beside two busy processes.

    python -m benchmarks.threads [--rounds N]

For the spectrograms of the audio metrics (10 s of sound) and the Fréchet term (256 clips): elapsed and processor time
with all threads that the machine offers and with one, in turns, as ratios to one thread. The engine works with one
thread on a clip and with its share of the cores in a reduction; set ``OMP_NUM_THREADS`` and its like for neither.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.audio_frontends import FRONT_ENDS, sound
from pytest_vidmetrics.stats.frechet import frechet

Work = Callable[[], object]
BUSY = 2


def works() -> dict[str, Work]:
    """Return what is timed."""
    found: dict[str, Work] = {}
    for name, end in FRONT_ENDS.items():
        samples = sound(10.0, end.rate)
        found[name] = lambda end=end, samples=samples: end.ours(samples)  # type: ignore[misc]
    generator = np.random.default_rng(0)
    for dimension in (400, 1024):
        sets = [generator.standard_normal((256, dimension)) for _ in range(2)]
        found[f"Fréchet term, {dimension} dimensions"] = lambda sets=sets: frechet(*sets)  # type: ignore[misc]
    return found


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep ``count`` processes busy meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def timed(work: Work, threads: int) -> tuple[float, float]:
    """Return the elapsed and the processor seconds of one call."""
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        began, spent = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - began, time.process_time() - spent


def compare(name: str, work: Work, threads: int, rounds: int) -> None:
    """Print the times of one thread, and what all threads take in comparison."""
    work()
    turns = [[timed(work, count) for count in (1, threads)] for _ in range(rounds)]
    one, many = ([statistics.median(turn[side][kind] for turn in turns) for kind in (0, 1)] for side in (0, 1))
    print(
        f"  {name}: one thread {1e3 * one[0]:.1f} ms; {threads} threads: elapsed {many[0] / one[0]:.2f}, "
        f"processor time {many[1] / one[1]:.2f}",
        flush=True,
    )


def main() -> None:
    """Print one line per work, alone and beside others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    for count in (0, BUSY):
        print(f"{threads} cores, {f'beside {count} busy processes' if count else 'alone'}")
        with busy(count):
            for name, work in works().items():
                compare(name, work, threads, args.rounds)


if __name__ == "__main__":
    main()
