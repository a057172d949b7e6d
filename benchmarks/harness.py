"""How the benchmarks run pytest: in a folder of its own, in a process of its own, timed from outside."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist")


def pytest_seconds(folder: Path, *args: str) -> float:
    """Return the wall-clock seconds of one ``pytest`` run in ``folder``; a run that fails ends the benchmark."""
    (folder / "pytest.ini").touch()  # the rootdir is this folder, whatever lies above it
    environment = {**os.environ, "VIDMETRICS_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    environment.pop("CI", None)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"pytest {' '.join(args)} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return seconds


def alternate(runs: Iterable[Callable[[], float]], repeats: int) -> list[list[float]]:
    """Time several runs in turns, so that a slow spell of the machine falls on all of them alike."""
    runs = list(runs)
    for run in runs:
        run()  # warm: files in the page cache, bytecode written
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, kept in zip(runs, times, strict=True):
            kept.append(run())
    return times


def cpu(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU seconds of a call."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def trivial_tests(folder: Path, count: int) -> None:
    """Write ``count`` parametrised tests that do nothing: what an item costs in plain pytest."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f"import pytest\n\n@pytest.mark.parametrize('n', range({count}))\ndef test_nothing(n):\n    pass\n"
    (folder / "test_trivial.py").write_text(text)


def report(label: str, seconds: list[float], per: int | None = None) -> float:
    """Print the median and the range of some times, and return the median."""
    median = statistics.median(seconds)
    each = f"   {1e6 * median / per:9.1f} us each" if per else ""
    print(f"{label:<52} {median:7.3f} s  ({min(seconds):.3f} to {max(seconds):.3f}){each}")
    return median
