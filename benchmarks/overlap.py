"""How much of decoding is hidden behind scoring: PSNR over clips.

``python -m benchmarks.overlap``: D is the time to decode every clip and its reference, S the time to score
decoded clips, W the time of ``Evaluator.evaluate`` on the files. The overlap is ``(D + S - W) / min(D, S)``:
0 when one waits for the other, 1 when the shorter of the two is free.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.loading import write_clip
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.media.video import read_clip


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, args.frames, *args.size)
        other = path.with_name("other.mp4")
        shutil.copy(path, other)
        evaluator = Evaluator("common.psnr", "cpu", loader_threads=1)
        frames = torch.as_tensor(read_clip(path).frames)
        loaded = [{"video": frames, "reference": frames}] * args.clips
        files = [{"video": path, "reference": other}] * args.clips
        rounds = [
            (
                timed(lambda: [read_clip(path) for _ in range(2 * args.clips)]),
                timed(lambda: evaluator.evaluate(loaded)),
                timed(lambda: evaluator.evaluate(files)),
            )
            for _ in range(args.rounds)
        ]
    d, s, w = min(rounds, key=lambda one: one[2])
    print(
        f"{args.clips} clips of {args.frames} frames, {os.cpu_count()} cores, one thread each for decoding and scoring"
    )
    print(f"decode {d:.2f} s, score {s:.2f} s, together {w:.2f} s, overlap {(d + s - w) / min(d, s):.2f}")


if __name__ == "__main__":
    main()
