"""What a question to a video-language model costs a GPU: launches, operations, waits and memory, on a simulated one.

``python -m benchmarks.qwen [--layers 28] [--blocks 32] [--frames 81] [--size 480 832] [--tokens 3 13]``: the network of
VideoScore2 without weights, in bfloat16. Two lengths of the answer tell the prompt from the tokens. Nothing runs:
seconds are those of a model that takes each kernel at the speed of its arithmetic or of its memory, or 5 microseconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks.qwen import frames, pixels, sizes
from tests.support import fake_qwen
from tests.support.fake_cuda import simulated

RATE = 16.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=28, help="of the language model")
    parser.add_argument("--blocks", type=int, default=32, help="of the vision tower")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    parser.add_argument("--tokens", type=int, nargs="+", default=(3, 13), help="lengths of the answer")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = fake_qwen.write_checkpoint(Path(text), layers=args.layers, blocks=args.blocks)
        for count in args.tokens:
            say(asked(folder, count, args.frames, *args.size))


def asked(folder: Path, tokens: int, count: int, height: int, width: int) -> str:
    """Return what a GPU has to do for an answer of some tokens about one clip."""
    chosen = len(frames.path_rule(count, RATE).indices)
    size = sizes.clip_size((height, width), chosen)
    grid = (chosen // pixels.PAIR, size[0] // pixels.PATCH, size[1] // pixels.PATCH)
    with fake_qwen.without_weights(grid), simulated() as gauge:
        metric = registry.get_metric("videoscore2", model_name=str(folder), max_tokens=tokens)
        worker = EvalWorker(MemoryStore(), "cuda:0")
        worker.load(metric)
        gauge.zero()
        gauge.peaks = True
        clip = torch.empty((count, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        worker.fill({"video": clip, "fps": RATE, "text_prompt": "a cat"}, [metric])
        operations = sum(gauge.time.operations.values()) / 1e12
        # The tensors are bfloat16 already: the model's tf32 moves them as they are, its bf16 would halve them again.
        return (
            f"{chosen} of {count} frames of {width}x{height}, {tokens} tokens: {gauge.launches} launches, "
            f"{operations:.1f} TFLOP, {gauge.blocking} waits, {gauge.peak / 2**30:.1f} GiB with weights, modelled "
            f"{gauge.time.launched['tf32']:.3f} s"
        )


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
