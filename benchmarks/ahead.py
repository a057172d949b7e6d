"""How much of decoding the look-ahead hides behind a metric that waits, as one does for a GPU.

    python -m benchmarks.ahead [--clips N] [--seconds S]

The metric sleeps. Elapsed time of scoring items and of a gate that computes, against decoding and sleeping in turn:
``hidden`` is the share of the decoding time that is gone, 1 when the run takes as long as the sleep and one clip.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.loading import write_clip
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.ahead import Lookahead
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.media.video import read_clip
from pytest_vidmetrics.metrics.base import BaseMetric


class Waits(BaseMetric):
    """Takes ``seconds`` of somebody else's time for a clip."""

    name = "waits"
    pixels = "uint8"
    requires_reference = False

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Sleep."""
        time.sleep(self.seconds)
        return MetricResult(self.name, float(sample["video"][0].float().mean()))


def elapsed(work: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the three times and what is hidden."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    parser.add_argument("--seconds", type=float, default=0.4, help="how long the metric takes for a clip")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.mp4" for i in range(args.clips)]
        write_clip(paths[0], args.frames, *args.size)
        for path in paths[1:]:
            shutil.copy(paths[0], path)
            with path.open("ab") as stream:  # other bytes, equal frames: every clip is read
                stream.write(b"\x00\x00\x00\x09free" + path.stem[-1:].encode())
        metric = Waits(args.seconds)
        units = [Unit({"video": str(path)}, (metric,)) for path in paths]

        def in_turn() -> None:
            worker = EvalWorker(MemoryStore())
            for unit in units:
                worker.fill(unit.values, unit.metrics)

        def items() -> None:
            ahead = Lookahead(EvalWorker(MemoryStore()))
            jobs = [Job((unit,)) for unit in units]
            ahead.announce(jobs)
            for job in jobs:
                ahead.run(job)
            ahead.close()

        def gate() -> None:
            list(EvalWorker(MemoryStore()).stream(units))

        decode = elapsed(lambda: [read_clip(path) for path in paths])
        turn = elapsed(in_turn)
        print(f"{args.clips} clips: decoding {decode:.2f} s, waiting {args.clips * args.seconds:.2f} s")
        print(f"in turn {turn:.2f} s")
        for name, work in (("scoring items", items), ("a gate", gate)):
            took = elapsed(work)
            print(f"{name} {took:.2f} s, hidden {(turn - took) / (turn - args.clips * args.seconds):.2f}")


if __name__ == "__main__":
    main()
