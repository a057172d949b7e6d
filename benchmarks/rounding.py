"""How far the rounding of products moves the VBench dimensions that read texts: GRiT's four, and scene.

``python -m benchmarks.rounding``: stand-in weights (shallow networks), one thread, small frames. Operands of every
product and convolution are rounded to TF32 (10 bits) or bfloat16 (7 bits), as a GPU does, and sums stay in float32;
and frames go through the networks one, three or sixteen at a time. Counted is what could change a score: boxes, labels,
captions, tags, and the scores themselves.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.grit import FOUR, PROMPT
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks.shared import clear, sample_scope
from tests.support import grit_weights, tag2text_weights
from tests.support.oracle_fill import clip_uint8

OPERANDS = {"mm": (0, 1), "bmm": (0, 1), "matmul": (0, 1), "linear": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2)}
CHUNKS = (1, 3, 16)
BITS = {"tf32": 13, "bf16": 16}
"""Bits of a float32 that are rounded away."""


class Rounded(TorchDispatchMode):
    """Rounds what is multiplied, to nearest."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self.lost, self.count = lost, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        places = OPERANDS.get(name, (0, 1) if "convolution" in name else (0, 1, 2) if "dot_product" in name else ())
        if places:
            self.count += 1
            args = tuple(self._rounded(one) if i in places else one for i, one in enumerate(args))
        return func(*args, **(kwargs or {}))

    def _rounded(self, x: torch.Tensor) -> torch.Tensor:
        half = 1 << (self.lost - 1)
        bits = x.contiguous().view(torch.int32)
        return ((bits + half) & -(1 << self.lost)).view(torch.float32).view(x.shape)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as text:
        os.environ.update(grit_weights.write_weights(Path(text) / "grit"))
        clips = [grit_weights.changing_clip(), *(clip_uint8(8, 48, 64, seed) for seed in (3, 5, 6, 9, 12))]
        report("GRiT", clips, grit_clip)
        clear()
        os.environ.update(tag2text_weights.write_weights(Path(text) / "tag2text"))
        report("Tag2Text", [clip_uint8(6, 96, 128, seed) for seed in (1, 2)], scene_clip)


def report(name: str, clips: list[Any], look: Callable[[torch.Tensor, int], tuple[list[str], list[float]]]) -> None:
    """Print what changes between precisions and chunk sizes."""
    videos = [torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2) for clip in clips]
    texts, scores = seen(videos, look, 16, nullcontext())
    say(f"{name}: {len(texts)} boxes or captions of {sum(map(len, clips))} frames, {len(set(texts))} different ones")
    for label, chunk, mode in (
        *((f"chunks of {size}", size, nullcontext()) for size in CHUNKS),
        *((kind, 16, Rounded(lost)) for kind, lost in BITS.items()),
    ):
        others, moved = seen(videos, look, chunk, mode)
        changed = sum(a != b for a, b in zip(texts, others, strict=False)) + abs(len(texts) - len(others))
        most = max(abs(a - b) for a, b in zip(scores, moved, strict=True))
        products = f", {mode.count} products rounded" if isinstance(mode, Rounded) else ""
        say(f"  {label}: {changed} texts changed, largest change of a clip's score {most:.4f}{products}")


def seen(
    videos: list[torch.Tensor],
    look: Callable[[torch.Tensor, int], tuple[list[str], list[float]]],
    chunk: int,
    mode: AbstractContextManager[Any],
) -> tuple[list[str], list[float]]:
    """Return the texts and the scores of all clips."""
    texts: list[str] = []
    scores: list[float] = []
    for video in videos:
        with sample_scope(MemoryStore()), mode:
            said, found = look(video, chunk)
        texts += said
        scores += found
    return texts, scores


def grit_clip(video: torch.Tensor, chunk: int) -> tuple[list[str], list[float]]:
    """Return labels and captions of a clip's boxes, and the scores of the four dimensions."""
    found = []
    for name in FOUR:
        metric: Any = registry.get_metric(name, chunk_size=chunk)
        found.append(metric.compute({"video": video, **PROMPT}).score or 0.0)
        if name == FOUR[0]:
            frames = metric.objects({"video": video})
    texts = [
        f"{i} {label} | {text}"
        for i, one in enumerate(frames)
        for label, text in zip(one.labels, one.captions, strict=True)
    ]
    return texts, found


def scene_clip(video: torch.Tensor, chunk: int) -> tuple[list[str], list[float]]:
    """Return a clip's captions, and the scores for each word in them."""
    metric: Any = registry.get_metric("vbench.scene", compat="fixed", chunk_size=chunk)
    captions = metric.compute({"video": video, "auxiliary_info": {"scene": "a"}}).details["captions"]
    words = sorted({word for caption in captions for word in caption.split()})[:1]
    return captions, [sum(word in caption for caption in captions) / len(captions) for word in words or ["a"]]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
