"""A generator for trying out the workflow without a GPU: it moves the starting frame.

``python toy_generator.py --requests requests.jsonl --out FOLDER`` reads one request a line (``id``, ``prompt``,
``image``, ``seed``, ``params``, ``output``) and writes one clip for each. ``params.smear`` makes a worse method: the
picture blurs as the clip goes on, as a video model with too few steps does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import av
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


def frames_of(image: np.ndarray, prompt: str, seed: int, params: dict[str, float]) -> np.ndarray:
    """Return ``(T, H, W, 3)`` uint8: the image drifts as the prompt says, with the speed and grain of the seed."""
    rng = np.random.Generator(np.random.PCG64(seed))
    dy, dx = next((step for word, step in DIRECTIONS.items() if word in prompt), (0, 0))
    speed = 1.0 + 0.15 * rng.standard_normal()
    clip = []
    for t in range(int(params["frames"])):
        moved = shift(image.astype(np.float32), (speed * dy * t, speed * dx * t, 0), order=1, mode="wrap")
        if params.get("smear"):
            moved = gaussian_filter(moved, (params["smear"] * t / 8, params["smear"] * t / 8, 0))
        clip.append(moved + rng.normal(0, 2.0, moved.shape))
    return np.clip(np.rint(np.stack(clip)), 0, 255).astype(np.uint8)


def write(path: Path, frames: np.ndarray, fps: int) -> None:
    """Write an H.264 clip that every browser plays."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def main() -> None:
    """Generate what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for line in args.requests.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        params = row["params"]
        image = Image.open(row["image"]).convert("RGB").resize((params["width"], params["height"]))
        frames = frames_of(np.asarray(image), row["prompt"], row["seed"], params)
        write(Path(row["output"]), frames, params["fps"])
        print(f"{row['id']} seed {row['seed']}: {len(frames)} frames", flush=True)


if __name__ == "__main__":
    main()
