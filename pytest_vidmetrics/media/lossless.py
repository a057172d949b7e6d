"""Writing frames without loss: FFV1 in Matroska, checked by reading it back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.orientation import Pixels

SUFFIX = ".mkv"


def exact_rate(fps: float) -> Fraction:
    """Return a rate as a fraction: whole ones and those of television, such as 24000/1001, exactly.

    Raises ``ValueError`` for a rate that is not a number from 0.01 to 1000.
    """
    if not 0.01 <= fps <= 1000:
        raise ValueError(f"the rate must be from 0.01 to 1000 frames per second, got {fps!r}")
    # 1001 is the largest denominator of broadcast rates.
    return Fraction(fps).limit_denominator(1001)


def write_lossless(path: Path, frames: Pixels, fps: float) -> None:
    """Write ``(T, 3, H, W)`` uint8 RGB frames as FFV1, and read them back.

    One thread, so that the same pictures give the same bytes. Raises :class:`MediaError` when what is read differs in
    one value or in its rate, and ``OSError`` when it cannot be written; the caller removes the file then.
    """
    rate = exact_rate(fps)
    try:
        with av.open(str(path), "w", format="matroska") as container:
            stream = container.add_stream("ffv1", rate=rate, options={"level": "3", "slicecrc": "1"})
            # RGB as it is: a conversion to YUV would lose bits.
            stream.width, stream.height, stream.pix_fmt = frames.shape[3], frames.shape[2], "bgr0"
            stream.codec_context.thread_count = 1
            # (T, H, W, 3)
            for picture in frames.transpose(0, 2, 3, 1):
                shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
                container.mux(stream.encode(shown))
            container.mux(stream.encode())
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    _verify(path, frames, fps)


def _verify(path: Path, frames: Pixels, fps: float) -> None:
    from pytest_vidmetrics.media.video import read_clip

    clip = read_clip(path)
    if not np.array_equal(clip.frames.numpy(), frames):
        raise MediaError(f"{path}: what was written is not what is read back: this is a fault of the codec")
    # One frame has no rate.
    if clip.total > 1 and (clip.fps is None or abs(clip.fps - fps) > 1e-3 * fps):
        raise MediaError(f"{path}: {clip.fps} frames per second are read back, {fps:g} were written")
