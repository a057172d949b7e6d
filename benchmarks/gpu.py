"""What a clip costs on a GPU: measured there, or counted and modelled without one.

``python -m benchmarks.gpu --model``: the eleven VBench dimensions of one still clip at published depth on simulated
CUDA tensors. Waits, launches and uploads are counted; milliseconds are a model (``tests/support/roofline.py``).

``python -m benchmarks.gpu [--device cuda:0] [--full] [--clips 8]``: stand-in weights on real frames. Each dimension
once in tf32 and once in fp32 with the change of its score and its peak memory, then clips a second of all together from
files. ``--device cpu --clips 1 --frames 5 --size 136 144`` is a try of the script itself, with bf16 for tf32.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch

from pytest_vidmetrics.core.precision import Precision
from pytest_vidmetrics.engine.devices import described
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks import shared
from tests.support import fake_networks
from tests.support.clips import write_clip
from tests.support.fake_cuda import simulated
from tests.support.oracle_fill import clip_uint8
from tests.support.vbench_weights import SAMPLE, write_weights

ELEVEN = (
    "vbench.subject_consistency",
    "vbench.background_consistency",
    "vbench.temporal_flickering",
    "vbench.motion_smoothness",
    "vbench.dynamic_degree",
    "vbench.aesthetic_quality",
    "vbench.imaging_quality",
    "vbench.human_action",
    "vbench.appearance_style",
    "vbench.temporal_style",
    "vbench.overall_consistency",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="store_true", help="simulate: needs no GPU and measures none")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--full", action="store_true", help="networks of published depth (8 GB of stand-in weights)")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.model:
            model(Path(folder), options.frames, *options.size)
        else:
            measure(Path(folder), options)


def model(folder: Path, frames: int, height: int, width: int) -> None:
    """Print what a later clip of one size costs: constants are on the device by then."""
    os.environ.update(fake_networks.files(folder))
    columns = f"{'waits':>6} {'launches':>9} {'small uploads':>14} {'ms fp32':>8} {'tf32':>7} {'bf16':>7} {'floor':>7}"
    print(f"{'':<24} {columns}")
    total = [0.0] * 7
    with fake_networks.without_weights(), simulated() as gpu:
        first = EvalWorker(MemoryStore(), "cuda:0")
        for name in ELEVEN:
            metric = registry.get_metric(name)
            for worker in (first, first.sibling(MemoryStore())):
                clip = torch.empty((frames, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
                job = worker.prepare(Job((Unit({**SAMPLE, "video": clip, "fps": 16.0}, [metric]),)))
                worker.load(metric)
                gpu.zero()
                worker.run(job)
            seconds = [gpu.time.seconds[one] for one in ("fp32", "tf32", "bf16")] + [gpu.time.floor["tf32"]]
            row = [gpu.blocking, gpu.launches, gpu.tiny_uploads, *(1e3 * one for one in seconds)]
            _print(name, row)
            if name != "vbench.overall_consistency":  # within one sample its network has run for temporal_style
                total = [a + b for a, b in zip(total, row, strict=True)]
    _print("together", total)


def _print(name: str, row: list[float]) -> None:
    waits, launches, uploads, *times = row
    print(f"{name.removeprefix('vbench.'):<24} {waits:>6.0f} {launches:>9.0f} {uploads:>14.0f} ", end="")
    print(" ".join(f"{one:>7.1f}" for one in times))


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Print each dimension in two precisions, then clips a second."""
    os.environ.update(write_weights(folder, full=options.full))
    on_gpu = options.device.startswith("cuda")
    exact: Precision = "fp32"
    rounded: Precision = "tf32" if on_gpu else "bf16"
    print(f"torch {torch.__version__}, {described(options.device, rounded)}, {options.frames} frames {options.size}")
    clips = []
    for seed in range(options.clips):
        frames = clip_uint8(options.frames, *options.size, seed)
        clips.append({**SAMPLE, "video": str(write_clip(folder / f"{seed}.mp4", frames, fps=16))})
    print(f"{'':<24} {rounded + ' ms':>9} {'fp32 ms':>9} {'change':>9} {'peak GiB':>9}")
    for name in ELEVEN:
        found = [_once(name, precision, clips[0], options.device) for precision in (rounded, exact)]
        (quick, score, peak), (slow, reference, _) = found
        change = f"{score - reference:>9.1e}" if score is not None and reference is not None else "        -"
        times = f"{1e3 * quick:>9.1f} {1e3 * slow:>9.1f}"
        print(f"{name.removeprefix('vbench.'):<24} {times} {change} {peak / 2**30:>9.2f}")
    worker = EvalWorker(MemoryStore(), options.device)
    metrics = [registry.get_metric(name) for name in ELEVEN]
    for metric in metrics:
        worker.load(metric)
    start, waited, last = time.perf_counter(), 0.0, 0.0
    for number, _ in enumerate(worker.stream(Unit(clip, metrics) for clip in clips)):
        last = time.perf_counter() - start
        waited = last if number == 0 else waited
    print(f"all eleven from files: {len(clips) / last:.2f} clips/s (the first took {waited:.1f} s)")


def _once(name: str, precision: Precision, clip: dict[str, object], device: str) -> tuple[float, float | None, int]:
    """Return seconds, score and peak memory of the second of two runs."""
    shared.clear()
    metric, first = registry.get_metric(name), EvalWorker(MemoryStore(), device, precision=precision)
    on_gpu = device.startswith("cuda")
    for worker in (first, first.sibling(MemoryStore())):
        job = worker.prepare(Job((Unit(clip, [metric]),)))
        worker.load(metric)
        if on_gpu:
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        (outcome,) = worker.run(job)[0]
        seconds = time.perf_counter() - start  # a run ends with a read of the device
    peak = torch.cuda.max_memory_allocated(device) if on_gpu else 0
    return seconds, outcome.result.score if outcome.result else None, peak


if __name__ == "__main__":
    main()
