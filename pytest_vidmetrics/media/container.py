"""Opening media files, choosing their streams, and counting their frames, with errors that name the file."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import av

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.clock import Clock, Stamp, clock_of
from pytest_vidmetrics.media.integrity import joined_parts, missing_bytes, packets_held
from pytest_vidmetrics.media.recipe import THREAD_COUNT, THREAD_TYPE
from pytest_vidmetrics.media.riff import chunk_counts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_PLACEHOLDER = 1 << 30
"""What an encoder that cannot seek back leaves as the number of frames of an AVI."""
_ONE_FRAME_PER_PACKET = frozenset(
    {"h264", "hevc", "vvc", "av1", "libdav1d", "vp9", "gif", "mjpeg", "png", "prores", "ffv1", "rawvideo", "dnxhd"}
)
"""Codecs whose packets each show one frame; others (VP8 alternate references, packed MPEG-4) are decoded."""
_LEADING = frozenset({"h264", "hevc", "vvc"})
"""Codecs in which a clip that was cut without encoding it anew may begin with frames that need those cut off."""

_MARK = 8
"""Bytes of a packet that only says: this frame was stored with the one before."""

S = TypeVar("S", bound="Stream")


@dataclass(frozen=True)
class Scan:
    """What the video stream of a file shows: how many frames, when, and what should be known about it."""

    frames: int
    clock: Clock
    remarks: tuple[str, ...] = ()


@contextmanager
def open_media(path: Path, *, checked: bool = False) -> Iterator[InputContainer]:
    """Open a local file for reading. ``checked``: that it is whole was found out just now.

    Raises :class:`MediaError` when it is missing, empty, cut short, or not media.
    """
    try:
        if not path.is_file():
            raise MediaError(f"{path}: a folder, not a media file" if path.is_dir() else f"{path}: no such file")
        if path.stat().st_size == 0:
            raise MediaError(f"{path}: the file is empty (0 bytes)")
        missing = None if checked else missing_bytes(path)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from error
    if missing:
        raise MediaError(f"{path}: {missing}")
    try:
        # The prefix keeps names with a colon from being read as a protocol; playlists may not reach the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{path}: not a media file that FFmpeg can open ({_text(error)})") from error
    with container:
        yield container


def find_video(container: InputContainer) -> VideoStream | None:
    """Return the stream of moving pictures that players show, see :func:`chosen`; an attached picture is none.

    Raises :class:`MediaError` when nothing can decode it.
    """
    disposition = av.stream.Disposition
    pictures = disposition.attached_pic | disposition.timed_thumbnails | disposition.still_image
    moving = [one for one in container.streams.video if not one.disposition & disposition.attached_pic]
    stream = chosen([one for one in moving if not one.disposition & pictures] or moving)
    if stream is None:
        return None
    if stream.codec_context is None:
        raise MediaError(f"{container.name.removeprefix('file:')}: no decoder for its video stream")
    stream.thread_type = THREAD_TYPE
    stream.codec_context.thread_count = THREAD_COUNT
    return stream


def find_audio(container: InputContainer) -> AudioStream | None:
    """Return the stream of sound that players play, see :func:`chosen`.

    Raises :class:`MediaError` when nothing can decode it.
    """
    stream = chosen(list(container.streams.audio))
    if stream is not None and stream.codec_context is None:
        raise MediaError(f"{container.name.removeprefix('file:')}: no decoder for its audio stream")
    return stream


def chosen(streams: Sequence[S]) -> S | None:
    """Return the first stream that is marked as the default, or the first one.

    A single frame among longer streams is a poster: it counts only when there is nothing else.
    """
    if any(one.frames > 1 for one in streams):
        streams = [one for one in streams if one.frames != 1]
    marked = [one for one in streams if one.disposition & av.stream.Disposition.default]
    return next(iter([*marked, *streams]), None)


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream. Raises :class:`MediaError` when there is none."""
    stream = find_video(container)
    if stream is None:
        what = "it holds audio only" if container.streams.audio else "it holds no audio either"
        raise MediaError(f"{path}: no video stream; {what}")
    return stream


def stored_size(path: Path) -> tuple[int, int] | None:
    """Return height and width that a file states for its frames, before it turns them; nothing is decoded.

    ``None`` for what is not a file of video: whoever decodes it says what is wrong.
    """
    try:
        with open_media(path) as container:
            context = video_stream(container, path).codec_context
            return context.height, context.width
    except MediaError:
        return None


def decode_frames(container: InputContainer, stream: VideoStream, path: Path) -> Generator[VideoFrame, None, None]:
    """Yield the frames in presentation order. Raises :class:`MediaError` at the first that is damaged."""
    count = 0
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise MediaError(f"{path}: frame {count} is damaged; the file is truncated or corrupt")
            yield frame
            count += 1
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: frame {count} cannot be decoded ({_text(error)})") from error


def scan_video(path: Path) -> Scan:
    """Return how many frames the video stream shows and when, without decoding where the codec allows.

    Raises :class:`MediaError` when a packet is cut, fewer packets are present than declared, or there is none.
    """
    with open_media(path) as container:
        parts = joined_parts(path)
        stream = video_stream(container, path)
        name = stream.codec_context.name
        packets = _packets(container, stream, path, parts)
        unit = float(stream.time_base) if stream.time_base else 1.0
        rates = [float(rate) if rate else None for rate in (stream.average_rate, stream.base_rate, stream.guessed_rate)]
    remarks = [f"{parts} transport streams, joined"] if parts > 1 else []
    stamps: list[Stamp] = packets.shown
    if name not in _ONE_FRAME_PER_PACKET or (name in _LEADING and packets.leading):
        stamps = _decoded(path)
        lost = len(packets.shown) - len(stamps)
        if name in _LEADING and lost > packets.leading:
            raise MediaError(f"{path}: truncated or damaged: {len(packets.shown)} frames, {len(stamps)} can be decoded")
        if name == "mpeg4" and len(stamps) < packets.full:
            raise MediaError(f"{path}: truncated or damaged: {packets.full} frames, {len(stamps)} can be decoded")
        if name in _LEADING and lost:
            remarks.append(f"{lost} frames before the first whole one are not shown: it was cut without encoding")
    if not stamps:
        raise MediaError(f"{path}: the video stream has no frames")
    clock = clock_of(stamps, unit, rates)
    if clock.times is not None:
        remarks.append("variable frame rate")
    return Scan(len(stamps), clock, tuple(remarks))


@dataclass
class _Packets:
    """The packets of a stream that show something, and how many of them come before the first whole frame."""

    shown: list[Stamp] = field(default_factory=list)
    leading: int = 0
    full: int = 0
    """Packets that are more than a mark that a frame was stored with the one before."""


def _packets(container: InputContainer, stream: VideoStream, path: Path, parts: int) -> _Packets:
    found = _Packets()
    hidden = 0
    first: int | None = None
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            # Where transport streams were joined, FFmpeg takes the seam for a loss; their packets were counted.
            if packet.is_corrupt and parts == 1:
                raise MediaError(f"{path}: the data of frame {len(found.shown)} is cut; the file is truncated")
            if packet.is_discard:
                hidden += 1
                continue
            first = packet.pts if first is None else first
            found.leading += _is_leading(packet, first, len(found.shown))
            found.full += packet.size > _MARK
            # An AVI has no times of presentation: a frame's place in the file is its time.
            pts = packet.dts if container.format.name == "avi" else packet.pts
            found.shown.append(Stamp(pts, packet.dts, packet.duration))
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: the data after frame {len(found.shown)} cannot be read ({_text(error)})") from error
    _check_declared(container, stream, path, len(found.shown), hidden)
    return found


def _is_leading(packet: Packet[Any], first: int | None, number: int) -> bool:
    """Whether a frame is shown before the first one that was stored, so that it may need frames before that."""
    return number > 0 and packet.pts is not None and first is not None and packet.pts < first


def _decoded(path: Path) -> list[Stamp]:
    with open_media(path, checked=True) as container:
        frames = decode_frames(container, video_stream(container, path), path)
        return [Stamp(frame.pts, None, frame.duration) for frame in frames]


def _check_declared(container: InputContainer, stream: VideoStream, path: Path, shown: int, hidden: int) -> None:
    """Compare the packets that were read with those that the file holds, and with those that its header declares."""
    in_avi, in_mp4 = container.format.name == "avi", "mov" in container.format.name
    held = packets_held(path, stream.index if in_avi else stream.id, container.streams.video.index(stream))
    # An edit list hides frames, or drops them from the table. Without one, and with one that contradicts the rest
    # of the file, each of them is shown.
    present = shown if in_mp4 and held.edits is None else shown + hidden
    if held.edits is False and shown < held.frames:
        raise MediaError(
            f"{path}: damaged: {shown} of {held.frames} frames are shown, by a list that does not fit them"
        )
    if held.edits is None and present < held.frames:
        raise MediaError(f"{path}: damaged: it holds {held.frames} frames, {present} can be read")
    # What an AVI declares includes the empty packets, which show the frame before once more.
    counted = chunk_counts(path, stream.index)[0] if in_avi else present
    if not in_mp4 and counted < stream.frames < _PLACEHOLDER:
        raise MediaError(f"{path}: truncated: {stream.frames} frames declared, {counted} present")


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
