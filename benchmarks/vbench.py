"""What the VBench dimensions cost in one run, against as many runs of one dimension each.

``python -m benchmarks.vbench [--full] [--clips 8] [--frames 49] [--size 480 832]``: networks of stand-in weights, cut
to two or three layers where they are transformers unless ``--full``. Both sides run in one process on one thread, after
their networks are loaded. The reference decodes each clip once per dimension, gives each network one frame, pair or
window at a time, and shares nothing; the arithmetic inside the networks is the same, so the ratio is what sharing and
batching bring, and nothing else. Seconds are those of the processor, which other work on the machine disturbs least;
on a GPU (``--device cuda``) those of the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import is_composite
from pytest_vidmetrics.networks import shared
from tests.support.clips import write_clip
from tests.support.oracle_fill import clip_uint8
from tests.support.vbench_weights import SAMPLE, write_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="networks of full depth")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        os.environ.update(write_weights(folder, full=args.full))
        clips = [folder / f"{number}.mp4" for number in range(args.clips)]
        for number, path in enumerate(clips):
            write_clip(path, clip_uint8(args.frames, *args.size, number))
        names = [name for name in registry.expand(["vbench"]) if not is_composite(name)]
        alone, together = [0.0] * len(names), 0.0
        for turn in range(args.rounds):  # in turns, so that a slow spell of the machine falls on both
            alone = [
                before + measure(folder / f"{name}{turn}", [single(name)], clips, args.device) / args.rounds
                for before, name in zip(alone, names, strict=True)
            ]
            every = [registry.get_metric(name) for name in names]
            together += measure(folder / f"together{turn}", every, clips, args.device) / args.rounds
    for name, seconds in zip(names, alone, strict=True):
        sys.stdout.write(f"  {name:<32} {seconds / args.clips:8.2f} s per clip\n")
    one_by_one, at_once = sum(alone) / args.clips, together / args.clips
    sys.stdout.write(
        f"one by one {one_by_one:.1f} s per clip, together {at_once:.1f} s, ratio {at_once / one_by_one:.2f}\n"
        f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB\n"
    )


def single(name: str) -> BaseMetric:
    """Return a metric that works on one frame, pair or window at a time."""
    takes = vars(registry.get_metric(name))
    return registry.get_metric(name, chunk_size=1) if "chunk_size" in takes else registry.get_metric(name)


def measure(folder: Path, metrics: Sequence[BaseMetric], clips: Sequence[Path], device: str) -> float:
    """Return the seconds that scoring the clips takes, with networks that are loaded before and freed after."""
    scorer = EvalWorker(FileStore(folder), lambda: device)
    for metric in metrics:
        metric.to(device).setup()
    before = shared.forwards.copy()
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    for clip in clips:
        outcomes = scorer.fill({"video": str(clip), **SAMPLE}, list(metrics))
        scorer.release()
        for one in outcomes:
            if one.result is None or one.result.score is None:
                sys.exit(f"{clip.name}: {one.result}")
    seconds = clock() - started
    done = {
        key: count for key, count in (shared.forwards - before).items() if not str(key).endswith((" pairs", " frames"))
    }
    most = max(done.values(), default=0) / len(clips)
    sys.stdout.write(
        f"{len(metrics)} dimensions: {seconds:.1f} s, decodes per clip {scorer.counts.decoded / len(clips):g}, "
        f"most forwards per clip of one network and preprocessing {most:g}\n"
    )
    sys.stdout.flush()
    shared.clear()
    return seconds


if __name__ == "__main__":
    main()
