"""All audio metrics in one run, against one run per metric with a decode and a network of its own.

    python -m benchmarks.audio_suite [--full] [--clips 8] [--metrics NAME ...]

Clips of 10 s with sound, a reference sound each, and filled weights in the published layouts: shallow networks (one or
two blocks; the same widths and the same sequences), or with ``--full`` the published depths. Whisper has one layer
either way. Both sides run in this process with one thread, and must give the same scores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.media import audio, resample, video
from pytest_vidmetrics.networks import shared

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.audio_weights import METRICS, write_clip, write_wav, write_weights
from tests.support.oracle_fill import clip_uint8, tone

STAGES = {
    "decode picture": (video, "read_clip"),
    "decode sound": (audio, "load_audio"),
    "resample": (resample, "resample"),
}
PICTURE = ("desync", "imagebind_score")
PASST = ("kl_divergence", "frechet_distance", "kad")


@dataclass
class Run:
    """What one run took: seconds of CPU and of the clock, and the parts of the CPU time by stage."""

    load: float = 0.0
    score: float = 0.0
    wall: float = 0.0
    stages: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    scores: dict[str, list[float | None]] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        """Seconds of CPU in all."""
        return self.load + self.score


def make_samples(folder: Path, count: int, seconds: float) -> list[dict[str, Any]]:
    """Write clips of 480x270 at 24 fps with 48 kHz stereo sound in AAC, and a 44.1 kHz WAV as each one's reference."""
    moving = clip_uint8(24, 270, 480, 1)
    frames = np.concatenate([moving, moving[::-1]] * round(seconds / 2))
    samples = []
    for i in range(count):
        sound = np.stack([tone(seconds, 48000, 2 * i), tone(seconds, 48000, 2 * i + 1)])
        samples.append(
            {
                "id": str(i),
                "video": write_clip(folder / f"{i}.mp4", np.roll(frames, 7 * i, axis=2), sound, fps=24),
                "reference_audio": write_wav(folder / f"{i}.wav", tone(seconds, 44100, 100 + i), 44100),
                "text_prompt": "a car passes on a wet road",
                "reference_text": "hello there",
            }
        )
    return samples


@contextlib.contextmanager
def watched(run: Run) -> Iterator[None]:
    """Add the CPU time of the stages to ``run``."""
    before = {name: getattr(module, attribute) for name, (module, attribute) in STAGES.items()}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed_call(*args: Any, **more: Any) -> Any:
            start = time.thread_time()
            try:
                return call(*args, **more)
            finally:
                run.stages[name] += time.thread_time() - start
                run.calls[name] += 1

        return timed_call

    for name, (module, attribute) in STAGES.items():
        setattr(module, attribute, timed(name, before[name]))
    try:
        yield
    finally:
        for name, (module, attribute) in STAGES.items():
            setattr(module, attribute, before[name])


def measure(metrics: list[str], samples: list[dict[str, Any]]) -> Run:
    """Load the metrics afresh and score the samples."""
    shared.clear()
    run, wall, start = Run(), time.perf_counter(), time.process_time()
    forwards = Counter(shared.forwards)
    params = {f"audio.{name}": {"cache_mode": "off"} for name in metrics if name in PASST[1:]}
    with watched(run), Evaluator([f"audio.{name}" for name in metrics], "cpu", metric_kwargs=params) as evaluator:
        run.load = time.process_time() - start
        found = evaluator.evaluate(samples)
        run.score, run.wall = time.process_time() - start - run.load, time.perf_counter() - wall
    passes = shared.forwards - forwards
    run.calls["PaSST"] = sum(n for key, n in passes.items() if isinstance(key, tuple) and key[0] == "passt")
    for name in metrics:
        key = f"audio.{name}"
        rows = [found.corpus[key]] if key in found.corpus else [row[key] for row in found]
        assert all(row.status == "scored" for row in rows), (name, rows[0].status, rows[0].reason)
        run.scores[name] = [row.score for row in rows]
    return run


def show(label: str, run: Run) -> None:
    """Print one line."""
    parts = ", ".join(f"{name} {run.calls[name]}x {run.stages[name]:.2f}" for name in STAGES if run.calls[name])
    print(f"{label:<22} load {run.load:6.2f}  score {run.score:7.2f}  wall {run.wall:7.2f}   {parts}", flush=True)


def compare(metrics: list[str], samples: list[dict[str, Any]]) -> None:
    """Print each metric alone, all together, and the ratios."""
    # Imports and bytecode; the networks of the picture take long, and need nothing that the others have not loaded.
    measure([name for name in metrics if name not in PICTURE], samples[:2])
    alone = {}
    for name in metrics:
        alone[name] = measure([name], samples)
        show(name, alone[name])
    together = measure(metrics, samples)
    show("all in one run", together)
    assert all(together.scores[name] == run.scores[name] for name, run in alone.items()), "the scores differ"
    runs = alone.values()
    print(
        f"{len(metrics)} metrics, {len(samples)} clips, same scores: "
        f"CPU {together.cpu:.1f} s / {sum(run.cpu for run in runs):.1f} s = "
        f"{together.cpu / sum(run.cpu for run in runs):.2f}, "
        f"wall {together.wall:.1f} s / {sum(run.wall for run in runs):.1f} s = "
        f"{together.wall / sum(run.wall for run in runs):.2f}; "
        + "; ".join(
            f"{name} {together.calls[name]} / {sum(run.calls[name] for run in runs)}" for name in (*STAGES, "PaSST")
        )
    )


def main() -> None:
    """Write weights and clips, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", nargs="+", default=list(METRICS), choices=METRICS, metavar="NAME")
    parser.add_argument("--clips", type=int, default=8, help="at least 2")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= write_weights(folder / "weights", full=args.full, only=args.metrics)
        os.environ["VIDMETRICS_CACHE"] = str(folder / "cache")
        print(f"networks: {'published depth' if args.full else 'shallow'}; CPU seconds, one thread")
        compare(args.metrics, make_samples(folder, args.clips, args.seconds))


if __name__ == "__main__":
    main()
