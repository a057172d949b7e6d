"""Small real clips for tests, written with PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.support.oracle_fill import clip_uint8


def write_clip(path: Path, frames: np.ndarray, *, fps: int = 12, crf: int = 18) -> Path:
    """Write (T, H, W, 3) uint8 frames as H.264; the same frames give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "threads": "1"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def scene(seed: int, *, frames: int = 8, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a moving scene, (T, H, W, 3) uint8."""
    return clip_uint8(frames, height, width, seed)


def noisy(frames: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Return frames with Gaussian noise of ``strength`` grey levels."""
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0.0, strength, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)
