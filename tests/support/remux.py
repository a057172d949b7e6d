"""Media files made from others without encoding anew: cut, joined, and with sound or streams of their own."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def cut_at_keyframe(source: Path, target: Path, number: int) -> int:
    """Copy a video from its keyframe ``number`` on; return how many packets were copied."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as part:
        stream = whole.streams.video[0]
        out = part.add_stream_from_template(stream)
        keys, copied = -1, 0
        for packet in whole.demux(stream):
            keys += packet.is_keyframe and packet.size > 0
            if packet.size and keys >= number:
                packet.stream = out
                part.mux(packet)
                copied += 1
    return copied


def remux_to_avi(source: Path, target: Path) -> Path:
    """Copy an H.264 video into an AVI file, as tools do: with a clock of whole parts of frames."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as copy:
        stream = whole.streams.video[0]
        out = copy.add_stream_from_template(stream)
        plain = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in whole.demux(stream):
            for one in plain.filter(packet) if packet.size else ():
                one.stream = out
                copy.mux(one)
    return target


def clicks(rate: int, seconds: float, *moments: float) -> np.ndarray:
    """Return silence with a tone burst of 50 ms at each moment, float32."""
    sound = np.zeros(round(rate * seconds), np.float32)
    burst = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 20) / rate)).astype(np.float32)
    for moment in moments:
        at = round(moment * rate)
        sound[at : at + len(burst)] = burst
    return sound


def write_sound_and_pictures(
    path: Path,
    frames: Sequence[np.ndarray],
    *sounds: np.ndarray,
    fps: int = 24,
    rate: int = 48000,
    codec: str = "aac",
    default: int | None = None,
    options: dict[str, str] | None = None,
    lost: tuple[float, float] | None = None,
) -> Path:
    """Write a video with sound tracks (mono, float32 at ``rate``).

    ``default`` marks one sound track as the default and the others as not. ``lost`` are seconds between which the
    packets of the sound are left out.
    """
    with av.open(str(path), "w", options=options or {}) as out:
        video = out.add_stream("libx264", rate=fps, options={"bf": "0"})
        video.height, video.width, video.pix_fmt = *frames[0].shape[:2], "yuv420p"
        tracks = [out.add_stream(codec, rate=rate, layout="mono") for _ in sounds]
        for number, track in enumerate(tracks):
            if default is not None:
                track.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        for pixels in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(video.encode(None))
        for track, sound in zip(tracks, sounds, strict=True):
            block = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
            block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
            for packet in [*track.encode(block), *track.encode(None)]:
                moment = float(packet.pts * packet.time_base)
                if lost is None or not lost[0] <= moment < lost[1]:
                    out.mux(packet)
    return path


def onset(samples: np.ndarray, rate: int) -> float:
    """Return when the first loud sample comes, in seconds."""
    return float(np.argmax(np.abs(samples) > 0.1)) / rate
