"""How busy a device is from manifest to verdict, when a metric that sleeps stands for it.

    python -m benchmarks.busy [--clips N] [--seconds S]

One pytest run over files, with a store that is empty: start-up, hashing, decoding, scoring items, gate and verdict. The
metric takes ``seconds`` a clip, as a GPU would; busy is that time over the time of the whole process. What is missing
is start-up, the decoding of the first clip, what the look-ahead could not hide, and the end. Start and end do not grow
with the clips: they are told apart, beside what a pytest that tests nothing and a Python that imports torch take.
Plugins of pytest that have nothing to do with it (of hypothesis, anyio, randomly, xdist) are not loaded.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import QUIET, pytest_seconds, trivial_tests
from tests.support.clips import write_clip
from tests.support.oracle_fill import clip_uint8

METRIC = """
import time
from pathlib import Path

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register


@register("bench.device")
class Device(BaseMetric):
    requires_reference = False
    pixels = "uint8"

    def compute(self, sample):
        began = time.perf_counter()
        time.sleep({seconds})
        with Path({log!r}).open("a") as stream:
            stream.write(f"{{began}} {{time.perf_counter()}}\\n")
        return MetricResult(self.name, float(sample["video"][0].float().mean()))
"""
MANIFEST = """
schema = 1
[case.all]
video = "clips/*.mp4"
metrics = ["bench.device"]
"""


ALONE = (*QUIET, "-p", "no:hypothesispytest", "-p", "no:anyio")
AIM = 0.9


def torch_seconds() -> float:
    """Return how long a Python takes to start, to import torch, and to end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - began


def enough(fixed: float, inside: float, slept: float, clips: int) -> int | None:
    """Return from how many clips on the aim holds, when each takes what it took here; ``None``: never."""
    spare = (slept - AIM * inside) / clips
    return math.ceil(AIM * fixed / spare) if spare > 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    parser.add_argument("--seconds", type=float, default=0.5, help="how long the device takes for a clip")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trivial_tests(folder / "trivial", 1)
        plain = min(pytest_seconds(folder / "trivial", *ALONE) for _ in range(2))
        torch = min(torch_seconds() for _ in range(2))
        log = folder / "computed"
        (folder / "conftest.py").write_text(METRIC.format(seconds=args.seconds, log=str(log)))
        (folder / "all.vidmetrics.toml").write_text(MANIFEST)
        first = write_clip(folder / "clips" / "0000.mp4", clip_uint8(args.frames, *args.size, 0))
        for number in range(1, args.clips):
            path = shutil.copy(first, folder / "clips" / f"{number:04d}.mp4")
            with Path(path).open("ab") as stream:  # other bytes, equal frames: every clip is read
                stream.write(b"\x00\x00\x00\x0cfree" + f"{number:04d}".encode())
        gates = (*ALONE, "--vidmetrics=bench.device", "all.vidmetrics.toml")
        began = time.perf_counter()
        took = pytest_seconds(folder, *gates, "--update-baselines")
        spans = [[float(part) for part in line.split()] for line in log.read_text().splitlines()]
        if len(spans) != args.clips:
            sys.exit(f"{len(spans)} clips were computed, not {args.clips}")
        slept = sum(end - begin for begin, end in spans)
        before, inside = spans[0][0] - began, spans[-1][1] - spans[0][0]
        after = took - before - inside
        clips = enough(before + after, inside, slept, args.clips)
        print(f"{args.clips} clips of {args.frames} frames, {args.seconds} s each on the device")
        print(f"whole run {took:.1f} s: busy {slept / took:.3f}")
        print(f"from the first clip on the device to the last {inside:.1f} s: busy {slept / inside:.3f}")
        print(f"before the first {before:.1f} s, after the last {after:.1f} s")
        print(f"alone: pytest with one test that does nothing {plain:.1f} s, import of torch {torch:.1f} s")
        print(f"busy {AIM} " + ("is not reached" if clips is None else f"from {clips} clips on, by these figures"))


if __name__ == "__main__":
    main()
