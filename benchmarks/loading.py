"""How fast clips are scored and how much memory that takes: one cheap metric, so that decoding dominates.

``python benchmarks/loading.py --clips 64 --loader-threads 2``
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric


class Brightness(BaseMetric):
    """Mean level of all pixels."""

    name: ClassVar[str] = "benchmark.brightness"
    requires_reference: ClassVar[bool] = False
    pixels: ClassVar[Any] = "uint8"

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Average frame by frame, without a copy of the clip."""
        levels = [float(frame.float().mean()) for frame in sample["video"]]
        return MetricResult(self.name, sum(levels) / len(levels))


def write_clip(path: Path, frames: int, height: int, width: int) -> None:
    import av
    import numpy as np

    ramp = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            image = np.repeat((ramp + np.uint8(2 * i))[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 416), metavar=("H", "W"))
    parser.add_argument("--loader-threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="where the clip is kept (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp())
    source = folder / f"clip-{args.frames}x{args.size[0]}x{args.size[1]}.mp4"
    if not source.exists():
        write_clip(source, args.frames, *args.size)
    # Only this metric: the others would load their libraries.
    registry._registry, registry._discovered = {Brightness.name: Brightness}, True
    evaluator = Evaluator(Brightness.name, args.device, loader_threads=args.loader_threads)
    start = time.perf_counter()
    results = evaluator.evaluate({"video": source} for _ in range(args.clips))
    seconds = time.perf_counter() - start
    assert all(found[Brightness.name].status == "scored" for found in results)
    found = {
        "clips": args.clips,
        "clip_mb": round(args.frames * 3 * args.size[0] * args.size[1] / 1e6, 1),
        "clips_per_second": round(args.clips / seconds, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    print(json.dumps(found) if args.json else "\n".join(f"{key}: {value}" for key, value in found.items()))


if __name__ == "__main__":
    main()
