"""Opening media files, choosing their streams and decoding their frames, with errors that name the file."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import av

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.integrity import Contents, contents_of
from pytest_vidmetrics.media.recipe import THREAD_COUNT, THREAD_TYPE

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

S = TypeVar("S", bound="Stream")


class Decodable(Protocol):
    """What gives frames when it is decoded: a packet of a video stream, in most cases."""

    def decode(self) -> Sequence[VideoFrame]:
        """Return the frames that are complete with it."""


def check_file(path: Path) -> Contents:
    """Return what a local file says of itself.

    Raises :class:`MediaError` when it is missing, empty, or cut short.
    """
    try:
        if not path.is_file():
            raise MediaError(f"{path}: a folder, not a media file" if path.is_dir() else f"{path}: no such file")
        if path.stat().st_size == 0:
            raise MediaError(f"{path}: the file is empty (0 bytes)")
        contents = contents_of(path)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from error
    if contents.damage:
        raise MediaError(f"{path}: {contents.damage}")
    return contents


@contextmanager
def open_media(path: Path, *, checked: bool = False) -> Iterator[InputContainer]:
    """Open a local file for reading. ``checked``: :func:`check_file` was called just now.

    Raises :class:`MediaError` as that does, and for a file that is not media.
    """
    if not checked:
        check_file(path)
    try:
        # The prefix keeps names with a colon from being read as a protocol; playlists may not reach the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{path}: not a media file that FFmpeg can open ({error_text(error)})") from error
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


def decode_frames(packets: Iterable[Decodable], path: Path) -> Generator[VideoFrame, None, None]:
    """Yield the frames in presentation order. Raises :class:`MediaError` at the first that is damaged.

    ``packets`` are all of a video stream, with the empty one at its end, as the container gives them.
    """
    count = 0
    try:
        for packet in packets:
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise MediaError(f"{path}: frame {count} is damaged; the file is truncated or corrupt")
                yield frame
                count += 1
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: frame {count} cannot be decoded ({error_text(error)})") from error


def error_text(error: Exception) -> str:
    """Return what FFmpeg says about an error."""
    return getattr(error, "strerror", None) or str(error)
