"""Sound: decoding to float32 on the clock of the video, and extraction to WAV files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.core.errors import MediaError, NoAudioStreamError
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.media.container import find_video, open_media
from pytest_vidmetrics.media.integrity import missing_bytes
from pytest_vidmetrics.media.resample import resample

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

Samples = npt.NDArray[np.float32]

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class AudioClip:
    """Sound of one file.

    ``samples`` is ``(C, N)`` float32, nominally in [-1, 1], at ``rate`` Hz. Sample 0 coincides with the first
    video frame: silence was inserted for sound that starts later, and sound before the first frame was cut.
    ``start`` is that offset in seconds as the file states it (0.0 for a file without video). It is already
    applied; shifting by it again would be wrong.
    """

    samples: Samples
    rate: int
    start: float


def load_audio(path: str | os.PathLike[str], *, rate: int | None = None, mono: bool = True) -> AudioClip:
    """Decode the first audio stream of a file.

    ``rate`` resamples (see :mod:`~pytest_vidmetrics.media.resample`); ``mono`` averages the channels. Encoder
    priming is dropped where the timestamps say so; the last block is complete, padding included. Raises
    :class:`NoAudioStreamError` without an audio stream, :class:`MediaError` for a file that is missing,
    truncated, damaged, or whose stream has no samples.
    """
    where = Path(path)
    with open_media(where) as container:
        if not container.streams.audio:
            raise NoAudioStreamError(f"{where}: no audio stream")
        samples, native, start = _decode(container, where)
    if mono:
        samples = samples.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    samples = _on_video_clock(samples, round(start * native))
    if rate is not None:
        samples = resample(samples, native, rate)
    return AudioClip(samples, native if rate is None else rate, start)


def _decode(container: InputContainer, path: Path) -> tuple[Samples, int, float]:
    """Return ``(C, N)`` samples, their rate, and the seconds from the first video frame to sample 0."""
    blocks: list[Samples] = []
    rate, begin = 0, 0.0
    for frame in _frames(container, path):
        if not blocks:
            rate, begin = frame.sample_rate, frame.time or 0.0
        block = _to_float(frame, path)
        if frame.sample_rate != rate or (blocks and len(block) != len(blocks[0])):
            raise MediaError(f"{path}: the audio changes its rate or channels after {len(blocks)} blocks")
        blocks.append(block)
    if not blocks:
        raise MediaError(f"{path}: the audio stream has no samples")
    video = find_video(container)
    if video is None:
        return np.concatenate(blocks, axis=1), rate, 0.0
    shown = float((video.start_time or 0) * (video.time_base or 0))
    return np.concatenate(blocks, axis=1), rate, begin - shown


def _frames(container: InputContainer, path: Path) -> Iterator[AudioFrame]:
    stream = container.streams.audio[0]
    count = 0
    try:
        for frame in container.decode(stream):
            if frame.samples:
                yield frame
            count += 1
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: audio block {count} cannot be decoded ({error})") from error


def _to_float(frame: AudioFrame, path: Path) -> Samples:
    """Return ``(C, N)`` float32; integers are divided by their full scale, as every reference loader does."""
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    if array.dtype == np.uint8:
        return ((array.astype(np.float32) - 128) / 128).astype(np.float32)
    if np.issubdtype(array.dtype, np.integer):
        return (array / 2.0 ** (8 * array.dtype.itemsize - 1)).astype(np.float32)
    if not np.isfinite(array).all():
        raise MediaError(f"{path}: the audio holds samples that are not finite numbers")
    return array.astype(np.float32)


def _on_video_clock(samples: Samples, offset: int) -> Samples:
    if offset >= 0:
        return np.pad(samples, ((0, 0), (offset, 0))) if offset else samples
    return samples[:, -offset:]


def extract_audio_track(
    video_path: str | os.PathLike[str],
    *,
    output_dir: str | os.PathLike[str],
    sample_rate: int | None = None,
    codec: str = "pcm_s16le",
) -> Path:
    """Write the first audio stream to a WAV file in ``output_dir`` and return its path.

    All channels, on the clock of the video as in :func:`load_audio`, at ``sample_rate`` Hz (default: the
    stream's own), as the PCM ``codec``. The name holds a digest of the file's content and the settings, so clips
    of one name in two folders never share a file; a complete file of that name is reused. Written atomically:
    several processes may extract at once, and nothing is left behind by a failure. Raises as
    :func:`load_audio` does.
    """
    source, folder = Path(video_path), Path(output_dir)
    if not source.is_file():
        raise MediaError(f"{source}: no such file")
    settings = f"{'native' if sample_rate is None else sample_rate}-{codec}"
    target = folder / f"{source.stem[:80]}-{digest_file(source)[:16]}-{settings}.wav"
    if target.is_file() and target.stat().st_size > 0 and missing_bytes(target) is None:
        return target
    clip = load_audio(source, rate=sample_rate, mono=False)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".part", prefix=f".{target.stem[:80]}-", dir=folder)
    os.close(handle)
    part = Path(name)
    try:
        _write_wav(part, clip, codec)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _write_wav(path: Path, clip: AudioClip, codec: str) -> None:
    channels = len(clip.samples)
    layout = _LAYOUTS.get(channels, f"{channels}c")
    with av.open(f"file:{path}", "w", format="wav", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=clip.rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(clip.samples), format="fltp", layout=layout)
        frame.sample_rate = clip.rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
