"""Opening media files and counting their frames, with errors that name the file."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import av

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.integrity import missing_bytes, packets_held
from pytest_vidmetrics.media.recipe import THREAD_COUNT, THREAD_TYPE
from pytest_vidmetrics.media.riff import chunk_counts

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_PLACEHOLDER = 1 << 30
"""What an encoder that cannot seek back leaves as the number of frames of an AVI."""
_ONE_FRAME_PER_PACKET = frozenset(
    {"h264", "hevc", "vvc", "av1", "libdav1d", "vp9", "gif", "mjpeg", "png", "prores", "ffv1", "rawvideo", "dnxhd"}
)
"""Codecs whose packets each show one frame; others (VP8 alternate references, packed MPEG-4) are decoded."""


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a local file for reading.

    Raises :class:`MediaError` when it is missing, empty, cut short, or not media.
    """
    if not path.is_file():
        raise MediaError(f"{path}: a folder, not a media file" if path.is_dir() else f"{path}: no such file")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty (0 bytes)")
    if missing := missing_bytes(path):
        raise MediaError(f"{path}: {missing}")
    try:
        # The prefix keeps names with a colon from being read as a protocol; playlists may not reach the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{path}: not a media file that FFmpeg can open ({_text(error)})") from error
    with container:
        yield container


def find_video(container: InputContainer) -> VideoStream | None:
    """Return the first stream of moving pictures; an attached cover picture is none.

    Raises :class:`MediaError` when nothing can decode it.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context is None:
                raise MediaError(f"{container.name.removeprefix('file:')}: no decoder for its video stream")
            stream.thread_type = THREAD_TYPE
            stream.codec_context.thread_count = THREAD_COUNT
            return stream
    return None


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream. Raises :class:`MediaError` when there is none."""
    stream = find_video(container)
    if stream is None:
        what = "it holds audio only" if container.streams.audio else "it holds no audio either"
        raise MediaError(f"{path}: no video stream; {what}")
    return stream


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


def count_frames(path: Path) -> int:
    """Return how many frames the video stream shows, without decoding where the codec allows.

    Raises :class:`MediaError` when a packet is cut, fewer packets are present than declared, or there is none.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        if stream.codec_context.name in _ONE_FRAME_PER_PACKET:
            total = _count_packets(container, stream, path)
        else:
            total = sum(1 for _ in decode_frames(container, stream, path))
            if total:
                with open_media(path) as again:
                    _count_packets(again, video_stream(again, path), path)
    if total == 0:
        raise MediaError(f"{path}: the video stream has no frames")
    return total


def _count_packets(container: InputContainer, stream: VideoStream, path: Path) -> int:
    shown = hidden = 0
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.is_corrupt:
                raise MediaError(f"{path}: the data of frame {shown} is cut; the file is truncated")
            if packet.is_discard:
                hidden += 1
            else:
                shown += 1
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: the data after frame {shown} cannot be read ({_text(error)})") from error
    _check_declared(container, stream, path, shown + hidden)
    return shown


def _check_declared(container: InputContainer, stream: VideoStream, path: Path, present: int) -> None:
    """Compare the packets that were read with those that the file holds, and with those that its header declares."""
    in_avi, in_mp4 = container.format.name == "avi", "mov" in container.format.name
    held = packets_held(path, stream.index if in_avi else stream.id, container.streams.video.index(stream))
    if present < held:
        raise MediaError(f"{path}: damaged: it holds {held} frames, {present} can be read")
    # What an AVI declares includes the empty packets, which show the frame before once more. Edit lists may drop
    # packets from the table of an MP4, so its number is no lower bound.
    counted = chunk_counts(path, stream.index)[0] if in_avi else present
    if not in_mp4 and counted < stream.frames < _PLACEHOLDER:
        raise MediaError(f"{path}: truncated: {stream.frames} frames declared, {counted} present")


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
