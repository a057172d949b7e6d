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
from pytest_vidmetrics.core.samples import cut_bytes
from pytest_vidmetrics.media.container import find_audio, find_video, open_media
from pytest_vidmetrics.media.integrity import missing_bytes
from pytest_vidmetrics.media.resample import resample

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

Samples = npt.NDArray[np.float32]

_NAME_BYTES = 80
_EXACT = frozenset({"flac", "wav", "aiff", "caf", "w64", "au"})
"""Formats whose header counts the samples."""
_LOOSE = {"avi": 0.1}
"""Seconds by which time stamps may be wrong in formats that derive them from a mean bit rate."""
_JOINT = 1.0
"""Seconds by which time stamps fall back where another recording was joined on."""
_JITTER = 0.002
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class AudioClip:
    """Sound of one file.

    ``samples`` is ``(C, N)`` float32, nominally in [-1, 1], at ``rate`` Hz. Sample 0 coincides with the first
    video frame: silence was inserted for sound that starts later, and sound before the first frame was cut.
    ``start`` is that offset in seconds as the file states it (0.0 for a file without video). It is already
    applied; shifting by it again would be wrong. ``filled`` says how many seconds of silence stand where the file
    has no sound between other sound.
    """

    samples: Samples
    rate: int
    start: float
    filled: float = 0.0


def load_audio(path: str | os.PathLike[str], *, rate: int | None = None, mono: bool = True) -> AudioClip:
    """Decode the audio stream of a file that players play: the default one, else the first.

    ``rate`` resamples (see :mod:`~pytest_vidmetrics.media.resample`); ``mono`` averages the channels. Sound stands
    where its time stamps say: gaps are filled with silence. Encoder priming is dropped where the time stamps say so;
    the last block is complete, padding included. Raises
    :class:`NoAudioStreamError` without an audio stream, :class:`MediaError` for a file that is missing,
    truncated, damaged, or whose stream has no samples.
    """
    where = Path(path)
    with open_media(where) as container:
        stream = find_audio(container)
        if stream is None:
            raise NoAudioStreamError(f"{where}: no audio stream")
        track = _decode(container, stream, where)
        start = _start(container, track)
    samples, native = np.concatenate(track.blocks, axis=1), track.rate
    if mono:
        # Summed in float64: the mean of many channels is then the same on every CPU.
        samples = samples.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    samples = _on_video_clock(samples, round(start * native))
    if rate is not None:
        samples = resample(samples, native, rate)
    return AudioClip(samples, native if rate is None else rate, start, track.filled / native)


@dataclass
class _Track:
    """Decoded blocks, ``(C, N)`` each, without gaps between them.

    ``first`` is the time of the first sample, ``begin`` what it would be on the clock of the recording that is read.
    """

    rate: int
    first: float
    begin: float
    blocks: list[Samples]
    length: int = 0
    filled: int = 0

    def place(self, block: Samples, moment: float | None, loose: float) -> None:
        """Append a block where its time says: after silence where sound is missing, without what is there twice.

        Times that differ by less than half a block are one: many formats round them.
        """
        size = block.shape[1]
        near = max(round(max(_JITTER, loose) * self.rate), size // 2)
        gap = 0 if moment is None else round((moment - self.begin) * self.rate) - self.length
        if gap > near:
            self.blocks.append(np.zeros((len(block), gap), np.float32))
            self.filled += gap
            self.length += gap
        elif gap < -_JOINT * self.rate:
            assert moment is not None
            # Another recording was joined on: its clock is laid behind what was read so far.
            self.begin = moment - self.length / self.rate
        elif gap < -near:
            block = block[:, -gap:]
        self.blocks.append(block)
        self.length += block.shape[1]


def _decode(container: InputContainer, stream: AudioStream, path: Path) -> _Track:
    track: _Track | None = None
    channels = 0
    loose = _LOOSE.get(container.format.name, 0.0)
    for frame in _frames(container, stream, path):
        block = _to_float(frame, path)
        if track is None:
            begin = frame.time or 0.0
            track, channels = _Track(frame.sample_rate, begin, begin, []), len(block)
        if frame.sample_rate != track.rate or len(block) != channels:
            raise MediaError(f"{path}: the audio changes its rate or channels after {len(track.blocks)} blocks")
        # One broken time stamp would otherwise be hours of silence in memory.
        if container.duration and frame.time is not None and frame.time - track.begin > _longest(container):
            raise MediaError(
                f"{path}: damaged: sound at {frame.time:.0f} s, but the file is {_length(container):.0f} s"
            )
        track.place(block, frame.time, loose)
    if track is None:
        raise MediaError(f"{path}: the audio stream has no samples")
    _check_length(container, stream, track, path)
    return track


def _length(container: InputContainer) -> float:
    return (container.duration or 0) / 1_000_000


def _longest(container: InputContainer) -> float:
    return 2 * _length(container) + 60


def _check_length(container: InputContainer, stream: AudioStream, track: _Track, path: Path) -> None:
    """Compare the sound with what the header of its format counts; the last block may be cut to its end."""
    if container.format.name in _EXACT and stream.duration and stream.time_base:
        declared = round(float(stream.duration * stream.time_base) * track.rate)
        # A header of unknown length holds a huge number.
        if track.length < declared and 0 < declared < 1 << 40:
            raise MediaError(f"{path}: truncated: {declared} samples declared, {track.length} present")


def _start(container: InputContainer, track: _Track) -> float:
    """Return the seconds from the first video frame to the first sample; 0.0 without video."""
    video = find_video(container)
    if video is None:
        return 0.0
    return track.first - float((video.start_time or 0) * (video.time_base or 0))


def _frames(container: InputContainer, stream: AudioStream, path: Path) -> Iterator[AudioFrame]:
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
        # Packed samples are interleaved: (N * C,) becomes (C, N).
        array = array.reshape(-1, frame.layout.nb_channels).T
    if array.dtype == np.uint8:
        # Only unsigned PCM is centred at 128.
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
    """Write the audio stream to a WAV file in ``output_dir`` and return its path.

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
    # Long names would not leave room for digest and settings in 255 bytes.
    stem = cut_bytes(source.stem, _NAME_BYTES)
    target = folder / f"{stem}-{digest_file(source)[:16]}-{settings}.wav"
    if target.is_file() and target.stat().st_size > 0 and missing_bytes(target) is None:
        return target
    clip = load_audio(source, rate=sample_rate, mono=False)
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".part", prefix=f".{stem}-", dir=folder)
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
    # Bitexact: otherwise the version of the writer is in the file, and equal sounds would differ.
    with av.open(f"file:{path}", "w", format="wav", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=clip.rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(clip.samples), format="fltp", layout=layout)
        frame.sample_rate = clip.rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
