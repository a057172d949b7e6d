"""How far the distance of a set moves when its clips change in a way that nobody calls worse.

    python benchmarks/neutral_sets.py [FOLDER]

The candidate clips of the quickstart (or of another folder with ``candidate`` and ``reference``) are encoded again
with H.264 and scored against the same references as before: ``common.fvd`` on motion energy, which needs no weights.
"""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.sets.features import FeatureSet

CLIPS = Path(__file__).parents[1] / "examples" / "quickstart" / "clips"
RATE = 12


def decoded(source: str | io.BytesIO) -> np.ndarray:
    """Return ``(T, H, W, 3)`` uint8 frames."""
    with av.open(source) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def encoded_again(frames: np.ndarray, crf: int) -> np.ndarray:
    """Return frames after another encoding."""
    box = io.BytesIO()
    with av.open(box, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": str(crf), "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return decoded(io.BytesIO(box.getvalue()))


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else CLIPS
    metric = get_metric("common.fvd", extractor="motion_energy")

    def rows(clips: dict[str, np.ndarray]) -> FeatureSet:
        tensors = {id: torch.from_numpy(frames).permute(0, 3, 1, 2) for id, frames in clips.items()}
        return FeatureSet.join({id: metric.features({"video": video, "fps": RATE}) for id, video in tensors.items()})

    before = {path.stem: decoded(str(path)) for path in sorted((folder / "candidate").glob("*.mp4"))}
    reference = rows({path.stem: decoded(str(path)) for path in sorted((folder / "reference").glob("*.mp4"))})

    def score(clips: dict[str, np.ndarray]) -> float:
        return float(metric.score_sets(rows(clips), reference).score)

    usual = score(before)
    print(f"{len(before)} clips, distance {usual:.4f}")
    print("| crf | similarity (dB) | distance | shift |")
    print("| --- | --- | --- | --- |")
    for crf in (12, 18, 23, 28):
        after = {id: encoded_again(frames, crf) for id, frames in before.items()}
        errors = [np.mean((after[id].astype(float) - frames) ** 2) for id, frames in before.items()]
        similarity = float(np.mean([10 * np.log10(255**2 / error) for error in errors]))
        print(f"| {crf} | {similarity:.1f} | {score(after):.4f} | {score(after) - usual:+.4f} |")


if __name__ == "__main__":
    main()
