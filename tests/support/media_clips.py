"""Small media files written with PyAV for the tests of the media layer."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def gray_ramp(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frames that can be told apart: a gradient plus 8 grey levels per frame."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 2, y * 2, (x + y)], axis=-1)
    return [np.clip(base + 8 * i, 0, 255).astype(np.uint8) for i in range(count)]


def write_video(
    path: Path,
    frames: list[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    mirror: tuple[bool, bool] = (False, False),
    options: dict[str, str] | None = None,
    colorspace: int | None = None,
    color_range: int | None = None,
    fps: int = 10,
    tone: np.ndarray | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write RGB frames (and a mono tone at 24 kHz) to a container chosen by the suffix."""
    if container_options is None:
        container_options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if color_range is not None:
            stream.codec_context.color_range = color_range
        if rotation or any(mirror):
            stream.set_display_rotation(rotation, *mirror)
        sound = container.add_stream("aac", rate=24000, layout="mono") if tone is not None else None
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if sound is not None and tone is not None:
            block = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="flt", layout="mono")
            block.sample_rate, block.pts = 24000, 0
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


SLOW_THEN_FAST = [*(i / 8 for i in range(9)), *(1 + i / 24 for i in range(1, 16))]
"""A second of 8 frames, then 24 frames a second."""


def write_at(path: Path, times: Sequence[float], codec: str = "libx264") -> Path:
    """Write a frame at each time, in seconds, to a container chosen by the suffix."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=24, options={"bf": "2"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 24000)
        for pixels, time in zip(gray_ramp(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time * 24000), Fraction(1, 24000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
