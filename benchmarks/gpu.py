"""What a clip costs on a GPU: measured there, or counted and modelled without one.

``python -m benchmarks.gpu --model``: the eleven VBench dimensions of one still clip at published depth on simulated
CUDA tensors. Waits, launches and uploads are counted; milliseconds are a model (``tests/support/roofline.py``).

``python -m benchmarks.gpu [--device cuda:0] [--full] [--clips 8]``: stand-in weights on real frames. Each metric in
tf32 and in fp32 with the change of its score and its peak memory; then the eleven together from files: clips a
second, how long they waited for decoding, how much of the time kernels ran; then the same from two processes at once.
What fails is named and the rest goes on; nothing new begins after ``--minutes``. The exit code is 1 if anything failed.
``--device cpu --clips 1 --frames 5 --size 136 144`` is a try of the script itself, which has no tf32.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pytest_vidmetrics.core.precision import Precision, in_effect
from pytest_vidmetrics.engine.devices import described
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Loaded, Outcome, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks import shared
from tests.support import audio_weights, fake_networks, published_files
from tests.support.clips import write_clip
from tests.support.fake_cuda import simulated
from tests.support.oracle_fill import clip_uint8, tone
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
COMPARED: tuple[Precision, ...] = ("tf32", "fp32")
OTHERS: tuple[str, ...] = (
    "common.lpips",
    "common.fvd",
    "audio.clap_score",
    "audio.kl_divergence",
    "audio.audiobox_aesthetics",
    "audio.imagebind_score",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="store_true", help="simulate: needs no GPU and measures none")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--full", action="store_true", help="networks of published depth (8 GB of stand-in weights)")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="processes that share the device in the last part")
    parser.add_argument("--minutes", type=float, default=9.0, help="after these no part begins")
    parser.add_argument("--together", action="store_true", help="only the part from files, without profile")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.model:
            model(Path(folder), options.frames, *options.size)
            return
        parts = Parts(time.perf_counter() + 60 * options.minutes)
        measure(parts, Path(folder), options)
        sys.exit(1 if parts.failed else 0)


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


class Parts:
    """The parts of a measurement: one that fails ends itself alone, and none begins after the time is up."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.failed: list[str] = []

    def do(self, name: str, part: Callable[[], None]) -> None:
        """Do a part, or say why not."""
        try:
            if self.left <= 0:
                raise TimeoutError("not measured, the time is up")
            part()
        except Exception as error:
            self.failed.append(name)
            lines = str(error).splitlines() or [""]
            say(f"{name:<24} FAILED: {type(error).__name__}: {lines[0]}")

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.perf_counter()


def say(line: str) -> None:
    """Print a line at once: a run that is cut off has said what it knows."""
    print(line, flush=True)


class Timed(EvalWorker):
    """A worker that knows how long it computed."""

    inside = 0.0

    def run(self, item: Loaded) -> list[list[Outcome]]:
        """Do what a worker does."""
        began = time.perf_counter()
        try:
            return super().run(item)
        finally:
            self.inside += time.perf_counter() - began


def measure(parts: Parts, folder: Path, options: argparse.Namespace) -> None:
    """Print each metric in two precisions, then clips a second."""
    os.environ.update(write_weights(folder, full=options.full))
    here = described(options.device, in_effect(None, options.device))
    say(f"torch {torch.__version__}, {here}, {options.frames} frames {options.size}")
    clips = []
    for seed in range(options.clips):
        frames = clip_uint8(options.frames, *options.size, seed)
        clips.append({**SAMPLE, "video": str(write_clip(folder / f"{seed}.mp4", frames, fps=16))})
    if not options.together:
        say(f"{'':<24} {'tf32 ms':>9} {'fp32 ms':>9} {'change':>9} {'peak GiB':>9}")
        for name in ELEVEN:
            parts.do(name, lambda name=name: _row(name, clips[0], options.device))
        if OTHERS:
            parts.do("weights of others", lambda: _weights_of_others(folder))
            other = {**clips[0], "reference": clips[-1]["video"], "audio_text_prompt": "a dog barks"}
            other |= {"audio": (tone(6.0, 32000, 1), 32000), "reference_audio": (tone(6.0, 32000, 2), 32000)}
        for name in OTHERS:
            parts.do(name, lambda name=name: _row(name, other, options.device))
    parts.do(
        "from files",
        lambda: _from_files(clips, options.device, profiled=options.device != "cpu" and not options.together),
    )
    if options.workers > 1 and not options.together:
        parts.do(f"{options.workers} processes", lambda: _processes(options, parts.left))


def _weights_of_others(folder: Path) -> None:
    os.environ.update(audio_weights.write_weights(folder))
    for kind, write in (("TRUNK", published_files.lpips_trunk), ("HEADS", published_files.lpips_heads)):
        write("alex")(folder / f"alex.{kind}")
        os.environ[f"VIDMETRICS_LPIPS_{kind}_ALEX"] = str(folder / f"alex.{kind}")
    published_files.i3d_archive(folder / "i3d.pt")
    os.environ["VIDMETRICS_I3D"] = str(folder / "i3d.pt")


def _row(name: str, clip: dict[str, object], device: str) -> None:
    (quick, score, peak), (slow, reference, _) = (_once(name, one, clip, device) for one in COMPARED)
    times = f"{1e3 * quick:>9.1f} {1e3 * slow:>9.1f}"
    say(f"{name.removeprefix('vbench.'):<24} {times} {score - reference:>9.1e} {peak / 2**30:>9.2f}")


def _from_files(clips: list[dict[str, object]], device: str, *, profiled: bool) -> None:
    worker = Timed(MemoryStore(), device)
    metrics = [registry.get_metric(name) for name in ELEVEN]
    for metric in metrics:
        worker.load(metric)
    start, first = time.perf_counter(), 0.0
    for number, _ in enumerate(worker.stream(Unit(clip, metrics) for clip in clips)):
        first = time.perf_counter() - start if number == 0 else first
    took = time.perf_counter() - start
    waited = 1 - worker.inside / took
    say(f"all eleven from files: {len(clips) / took:.2f} clips/s (the first took {first:.1f} s), {waited:.0%} waiting")
    if profiled:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            start = time.perf_counter()
            list(worker.sibling(MemoryStore()).stream(Unit(clip, metrics) for clip in clips[:2]))
            took = time.perf_counter() - start
        kernels = sum(event.self_device_time_total for event in seen.key_averages()) / 1e6
        say(f"kernels ran {kernels / took:.0%} of the time of {len(clips[:2])} clips, with decoding and the profiler")


def _processes(options: argparse.Namespace, left: float) -> None:
    """Print what several processes on one device do together."""
    chosen = ["--device", options.device, "--clips", options.clips, "--frames", options.frames]
    chosen += ["--size", *options.size, "--together", *(["--full"] if options.full else [])]
    command = [sys.executable, "-m", "benchmarks.gpu", *map(str, chosen)]
    until, rates = time.perf_counter() + left, []
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            for _ in range(options.workers)
        ]
        for one in running:
            stack.callback(one.kill)  # before each is waited for
        for one in running:
            out, _ = one.communicate(timeout=max(1.0, until - time.perf_counter()))
            found = re.search(r"from files: ([\d.]+) clips/s", out)
            if found is None:
                raise RuntimeError(f"a process ended with {one.returncode}: {out.strip()[-200:]}")
            rates.append(float(found[1]))
    say(f"{len(rates)} processes at once: {sum(rates):.2f} clips/s ({', '.join(f'{rate:.2f}' for rate in rates)})")


def _once(name: str, precision: Precision, clip: dict[str, object], device: str) -> tuple[float, float, int]:
    """Return seconds, score and peak memory of the second of two runs; of features, the mean of their sizes."""
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
    if outcome.rows is not None:
        return seconds, float(abs(outcome.rows).mean()), peak
    if outcome.result is None or outcome.result.score is None:
        raise RuntimeError(outcome.result.reason if outcome.result else "no result")
    return seconds, outcome.result.score, peak


if __name__ == "__main__":
    main()
