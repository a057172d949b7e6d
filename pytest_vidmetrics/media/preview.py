"""Clips as a browser plays them: copied where every browser can, else encoded anew, with the time of each frame.

For people to look at, never for scores. Nothing here needs torch.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.arrays import ARRAY_SUFFIXES, read_array
from pytest_vidmetrics.media.clock import Clock
from pytest_vidmetrics.media.container import (
    decode_frames,
    find_audio,
    find_video,
    open_media,
    video_stream,
)
from pytest_vidmetrics.media.formats import IMAGE_SUFFIXES
from pytest_vidmetrics.media.images import list_images, read_pixels
from pytest_vidmetrics.media.orientation import Orientation, Pixels, orientation_of
from pytest_vidmetrics.media.scan import open_clip

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

LONGEST_SIDE = 640
"""Pixels of the longer side of a preview; smaller clips keep their size."""
CRF = 23
IMAGES_FPS = 10
"""How fast a folder of images is shown: its own rate is not known."""
_SAFE = {
    ".mp4": {"h264": ("yuv420p",), "av1": ("yuv420p",), "libdav1d": ("yuv420p",)},
    ".m4v": {"h264": ("yuv420p",)},
    ".webm": {"vp8": ("yuv420p",), "vp9": ("yuv420p",), "libvpx": ("yuv420p",), "libvpx-vp9": ("yuv420p",)},
}
"""What Chromium, Firefox and Safari all play, by container, codec and pixel format."""
_SAFE_SOUND = frozenset({"aac", "mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis"})
_CLOCK = 90_000
_SOUND_RATE = 48_000


@dataclass(frozen=True)
class Preview:
    """A file for a browser. ``times`` are the seconds at which the frames begin, the first at 0; none for sound.

    ``duration`` is when the last frame (or the sound) ends. ``quality`` says what was done to the original, as a
    reader should see it; empty for an unchanged copy.
    """

    data: bytes
    mime: str
    times: tuple[float, ...]
    duration: float
    width: int = 0
    height: int = 0
    quality: str = ""
    has_sound: bool = False


def plays_everywhere(path: Path) -> bool:
    """Whether browsers play a file as it is, with the right colours."""
    codecs = _SAFE.get(path.suffix.lower())
    if codecs is None or not path.is_file():
        return False
    with open_media(path) as container:
        stream = find_video(container)
        if stream is None:
            return False
        context = stream.codec_context
        sound = [one.codec_context.name for one in container.streams.audio if one.codec_context is not None]
        return context.pix_fmt in codecs.get(context.name, ()) and set(sound) <= _SAFE_SOUND


def copied(path: Path) -> Preview:
    """Return a file unchanged. Raises :class:`MediaError` for one without video, or that cannot be read."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        shown = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and not packet.is_discard
        ]
        if not shown:
            raise MediaError(f"{path}: the video stream has no frames")
        shown.sort()
        base = float(stream.time_base or Fraction(1, _CLOCK))
        start = shown[0][0]
        times = tuple((pts - start) * base for pts, _ in shown)
        last = shown[-1][1] * base
        sound = bool(container.streams.audio)
        turned = _turned(container, stream, path)
        width, height = turned.size(stream.codec_context.width, stream.codec_context.height)
    mime = "video/webm" if path.suffix.lower() == ".webm" else "video/mp4"
    return Preview(path.read_bytes(), mime, times, _end(times, last), width, height, "", sound)


def encoded(path: Path) -> Preview:
    """Return any clip (a video, a GIF, a folder of images, an image) as H.264 in MP4, with its sound as AAC.

    One thread, so that the same pictures give the same bytes. Raises :class:`MediaError` when it cannot be read.
    """
    frames = list_frames(path)
    first = next(frames, None)
    if first is None:
        raise MediaError(f"{path}: there are no frames")
    width, height = _fitted(first[1].shape[2], first[1].shape[1])
    out, times = io.BytesIO(), list[float]()
    with av.open(out, "w", format="mp4") as target:
        stream, sound = _video_track(target, width, height), _sound_track(target, path)
        for seconds, pixels in itertools.chain([first], frames):
            if (pixels.shape[2], pixels.shape[1]) != (first[1].shape[2], first[1].shape[1]):
                raise MediaError(f"{path}: the picture size changes at frame {len(times)}")
            frame = av.VideoFrame.from_ndarray(_scaled(pixels, width, height), format="rgb24")
            frame.pts, frame.time_base = round(seconds * _CLOCK), Fraction(1, _CLOCK)
            target.mux(stream.encode(frame))
            times.append(round(seconds * _CLOCK) / _CLOCK)
        target.mux(stream.encode(None))
        if sound is not None:
            _copy_sound(target, sound, path)
    label, end = f"{width} x {height}, H.264 crf {CRF}", _end(times, 0.0)
    return Preview(out.getvalue(), "video/mp4", tuple(times), end, width, height, label, sound is not None)


def sound_only(path: Path) -> Preview:
    """Return the sound of a file as AAC in MP4. Raises :class:`MediaError` when there is none."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as target:
        sound = _sound_track(target, path)
        if sound is None:
            raise MediaError(f"{path}: no audio stream")
        _copy_sound(target, sound, path)
    with open_media(path) as container:
        duration = (container.duration or 0) / 1_000_000
    return Preview(out.getvalue(), "audio/mp4", (), duration, 0, 0, "AAC", True)


def still(path: Path, number: int = 0, side: int = 320) -> bytes:
    """Return one frame (the last one of a shorter clip) as JPEG, its longer side at most ``side`` pixels."""
    pixels: Pixels | None = None
    with closing(list_frames(path)) as frames:
        for i, (_, found) in enumerate(frames):
            pixels = found
            if i == number:
                break
    if pixels is None:
        raise MediaError(f"{path}: there are no frames")
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def list_frames(path: Path) -> Generator[tuple[float, Pixels]]:
    """Yield each frame's time in seconds from the first, and its ``(3, H, W)`` uint8 pixels as displayed."""
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        for i, one in enumerate(list_images(path) if path.is_dir() else [path]):
            yield i / IMAGES_FPS, read_pixels(one).transpose(2, 0, 1)
        return
    if path.suffix.lower() in ARRAY_SUFFIXES:
        for i, pixels in enumerate(read_array(path)):
            yield i / IMAGES_FPS, pixels
        return
    with open_clip(path) as opened:
        turned, reformatter = Orientation(), VideoReformatter()
        with closing(decode_frames(opened.packets, path)) as decoding:
            for i, frame in enumerate(decoding):
                if i == 0:
                    turned = orientation_of(frame, path)
                yield _shown_at(opened.scan.clock, i), turned.apply(_rgb(reformatter, frame))


def _shown_at(clock: Clock, i: int) -> float:
    """Return when frame ``i`` begins, as metrics take it; beyond the known times at the last step."""
    if clock.times is None:
        return i / (clock.fps or IMAGES_FPS)
    last = len(clock.times) - 2
    if i <= last:
        return clock.times[i]
    return clock.times[-1] + (i - last - 1) * (clock.times[-1] - clock.times[last])


def _rgb(reformatter: VideoReformatter, frame: VideoFrame) -> Pixels:
    pixels: Pixels = np.asarray(reformatter.reformat(frame, format="rgb24").to_ndarray(), dtype=np.uint8)
    return pixels.transpose(2, 0, 1)


def _turned(container: InputContainer, stream: VideoStream, path: Path) -> Orientation:
    container.seek(0)
    with closing(decode_frames(container.demux(stream), path)) as decoding:
        frame = next(decoding, None)
    return Orientation() if frame is None else orientation_of(frame, path)


def _end(times: Iterable[float], last: float) -> float:
    """Return when the last frame ends: after its own duration, or after that of the average frame."""
    starts = list(times)
    mean = starts[-1] / (len(starts) - 1) if len(starts) > 1 else 1 / IMAGES_FPS
    return starts[-1] + (last or mean)


def _fitted(width: int, height: int) -> tuple[int, int]:
    """Return an even size of the same aspect whose longer side is at most :data:`LONGEST_SIDE`."""
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    if image.shape[:2] == (height, width):
        return image
    scaled: Pixels = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    return scaled


def _video_track(target: OutputContainer, width: int, height: int) -> VideoStream:
    # No B frames: times and order of decoding agree, and a seek needs no frame behind the one that is shown.
    options = {"crf": str(CRF), "preset": "veryfast", "bf": "0", "g": "12", "threads": "1"}
    stream = target.add_stream("libx264", rate=30, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, _CLOCK)
    # BT.601, limited range, is what the conversion does; without a tag browsers guess by the size.
    stream.codec_context.colorspace, stream.codec_context.color_range = 6, 1
    return stream


def _sound_track(target: OutputContainer, path: Path) -> AudioStream | None:
    """Return an audio stream for that of a file, if it has one. Streams come before the first packet."""
    if path.is_dir() or path.suffix.lower() in {*IMAGE_SUFFIXES, *ARRAY_SUFFIXES}:
        return None
    with open_media(path) as container:
        if find_audio(container) is None:
            return None
    stream = target.add_stream("aac", rate=_SOUND_RATE)
    stream.layout = "stereo"
    return stream


def _copy_sound(target: OutputContainer, stream: AudioStream, path: Path) -> None:
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_SOUND_RATE)
    with open_media(path) as container:
        try:
            for frame in container.decode(find_audio(container)):
                for part in resampler.resample(frame):
                    target.mux(stream.encode(part))
        except av.error.FFmpegError as error:
            raise MediaError(f"{path}: its sound cannot be decoded ({error})") from error
    for part in resampler.resample(None):
        target.mux(stream.encode(part))
    target.mux(stream.encode(None))
