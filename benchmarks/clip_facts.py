"""What it costs to know what a clip is beside its pixels: loading it and its reference, without and with their facts.

``python -m benchmarks.clip_facts [--rounds 5] [--frames 49] [--size 480 832]``: both in one process, in turns, one
thread, seconds of the processor. The facts are length, rate, size, whether anything moves and whether both show the
same, from frames that are decoded anyway. A frozen clip is the dearest: every frame is compared with the first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from pytest_vidmetrics.core.frames import ALL_FRAMES
from pytest_vidmetrics.engine.loading import HeldClip
from tests.support.clips import noisy, scene, write_clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    height, width = args.size
    moving = scene(1, frames=args.frames, height=height, width=width)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        reference = write_clip(folder / "reference.mp4", moving, fps=24)
        for name, frames in (("moving", noisy(moving, 3.0)), ("frozen", np.repeat(moving[:1], args.frames, axis=0))):
            clip = write_clip(folder / f"{name}.mp4", frames, fps=24)
            without = known = 0.0
            for _ in range(args.rounds):
                started = time.process_time()
                held = [HeldClip.read(str(path), "video", [ALL_FRAMES]) for path in (clip, reference)]
                loaded = time.process_time()
                held[0].facts(ALL_FRAMES, None, held[1])
                held[1].facts(ALL_FRAMES, None, None)
                without += loaded - started
                known += time.process_time() - started
            sys.stdout.write(
                f"{name}, {args.frames} frames of {width}x{height} and a reference: {without / args.rounds:.3f} s, "
                f"with their facts {known / args.rounds:.3f} s, ratio {known / without:.3f}\n"
            )


if __name__ == "__main__":
    main()
