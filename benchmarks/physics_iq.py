"""CPU time of the Physics-IQ metrics on one scenario, as a ratio to a straightforward loop over OpenCV's functions.

``python benchmarks/physics_iq.py`` needs ``opencv-python-headless``. Three clips of 150 frames, 640 x 360, in files.
The loop reads a clip whenever it needs it, as FastVideo does: two per comparison, so 13 for the five metrics. It
keeps its masks in memory, which is kinder to it than FastVideo's way through a video file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2  # type: ignore[import-not-found]
import numpy as np
import torch

from benchmarks.harness import cpu
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.registry import get_metric, resolve_group

FRAMES, HEIGHT, WIDTH = 150, 360, 640
QUARTER = (WIDTH // 4, HEIGHT // 4)


def write(path: Path, shift: float, seed: int) -> None:
    """Write a falling ball over a textured background."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    base = np.stack([110 + 40 * np.sin(0.05 * x), 120 + 35 * np.cos(0.04 * y), 100 + 30 * np.sin(0.03 * (x + y))], -1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 30)
        for k in range(FRAMES):
            image = base.copy()
            ball = (x - 200 - shift - 0.5 * k) ** 2 + (y - 40 - 1.7 * k) ** 2 < 30**2
            image[ball] = (230, 200, 180)
            noisy = np.clip(image + rng.normal(0, 1, image.shape), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))
        container.mux(stream.encode())


def loop_clip(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return quarter-size frames and masks the way one would first write it."""
    capture = cv2.VideoCapture(str(path))
    frames, masks, average, kernel = [], [], None, np.ones((5, 5), np.uint8)
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        frames.append(cv2.resize(frame, QUARTER).astype(np.float32) / 255)
        grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (5, 5), 0)
        mask = np.zeros_like(grey)
        if average is None:
            average = grey.astype(np.float64)
        else:
            cv2.accumulateWeighted(grey, average, 0.3)
            moved = cv2.absdiff(grey, cv2.convertScaleAbs(average))
            mask = cv2.threshold(moved, 10, 255, cv2.THRESH_BINARY)[1]
            mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
            mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
        masks.append((cv2.resize(mask, QUARTER) > 127).astype(np.uint8))
    capture.release()
    return np.stack(frames), np.stack(masks)


def loop_compare(first: Path, second: Path) -> list[float]:
    """Return the four comparisons of two files."""
    (a, mask_a), (b, mask_b) = loop_clip(first), loop_clip(second)
    mse = float(np.mean([((x - y) ** 2).mean() for x, y in zip(a, b, strict=True)]))
    per_frame = []
    for one, two in zip(mask_a, mask_b, strict=True):
        either = np.logical_or(one, two).sum()
        per_frame.append(np.logical_and(one, two).sum() / either if either else 1.0)
    ever = mask_a.max(0), mask_b.max(0)
    spatial = np.logical_and(*ever).sum() / np.logical_or(*ever).sum()
    time_a, time_b = mask_a.mean(0), mask_b.mean(0)
    weighted = np.minimum(time_a, time_b).sum() / np.maximum(time_a, time_b).sum()
    return [mse, float(np.mean(per_frame)), float(spatial), float(weighted)]


def ours(names: list[str], files: dict[str, Path], folder: Path, *, keep: bool) -> Callable[[], object]:
    """Return one scored sample in a store of its own; with ``keep`` the takes were compared for another clip."""
    values = {key: str(path) for key, path in files.items()}

    def run() -> object:
        from pytest_vidmetrics.metrics.physics_iq import scores

        root = Path(tempfile.mkdtemp(dir=folder))
        if not keep:
            scores._variances.clear()
        done = EvalWorker(FileStore(root)).fill(values, [get_metric(name) for name in names])
        return [outcome.result.score for outcome in done if outcome.result is not None]

    return run


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = Path(tempfile.mkdtemp())
    files = {key: folder / f"{key}.mp4" for key in ("video", "reference", "reference_take2")}
    for seed, (path, shift) in enumerate(zip(files.values(), (4.0, 0.0, 1.0), strict=True)):
        write(path, shift, seed)
    group = resolve_group("physics_iq") or []

    def one() -> object:
        return loop_compare(files["reference"], files["video"]), loop_compare(
            files["reference"], files["reference_take2"]
        )

    def all_five() -> object:
        return one(), [loop_compare(files["reference"], files["video"]) for _ in range(4)]

    rows = [
        ("physics_iq, first clip of a scenario", one, ours(["physics_iq"], files, folder, keep=False)),
        ("physics_iq, further clips", one, ours(["physics_iq"], files, folder, keep=True)),
        ("all five metrics, first clip", all_five, ours(group, files, folder, keep=False)),
        ("all five metrics, further clips", all_five, ours(group, files, folder, keep=True)),
    ]
    print("loop:", np.round(loop_compare(files["reference"], files["video"]), 5), "ours:", rows[2][2]())
    for label, theirs, mine in rows:
        mine()
        a, b = cpu(mine, 5), cpu(theirs, 5)
        print(f"{label:<40} {a:6.3f} s   loop {b:6.3f} s   ratio {a / b:.2f}", flush=True)


if __name__ == "__main__":
    main()
