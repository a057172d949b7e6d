"""What the video stream of a file shows, found out from its packets, which then decode to its frames.

A file is opened once and its packets are read once: they say whether all of it is there and when each frame is shown,
and wait for whoever wants the frames. It is opened again only where what waits would be too large to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.clock import Clock, Stamp, clock_of
from pytest_vidmetrics.media.container import Decodable, check_file, decode_frames, error_text, open_media, video_stream
from pytest_vidmetrics.media.integrity import Contents
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
_LEADING = frozenset({"h264", "hevc", "vvc"})
"""Codecs in which a clip that was cut without encoding it anew may begin with frames that need those cut off."""

_MARK = 8
"""Bytes of a packet that only says: this frame was stored with the one before."""
_HELD = 1 << 27
"""Bytes of packets, or of frames, that may wait: more of them are read a second time."""


@dataclass(frozen=True)
class Scan:
    """What the video stream of a file shows: how many frames, when, and what should be known about it."""

    frames: int
    clock: Clock
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class OpenClip:
    """A file whose packets were read: what it shows, and what decodes to its frames, once."""

    scan: Scan
    stream: VideoStream
    packets: Iterable[Decodable]


class _Shown(NamedTuple):
    """A frame that was decoded already, as only that could tell how many there are."""

    frame: VideoFrame

    def decode(self) -> list[VideoFrame]:
        """Return it."""
        return [self.frame]


@contextmanager
def open_clip(path: Path) -> Iterator[OpenClip]:
    """Open a file and find out what its video stream shows, without decoding where the codec allows.

    Raises :class:`MediaError` when a packet is cut, fewer packets are present than declared, or there is none.
    """
    contents = check_file(path)
    with open_media(path, checked=True) as container:
        stream = video_stream(container, path)
        scan, held = _scanned(container, stream, path, contents)
        if held is not None:
            yield OpenClip(scan, stream, held)
            return
    with open_media(path, checked=True) as container:
        stream = video_stream(container, path)
        yield OpenClip(scan, stream, container.demux(stream))


def scan_video(path: Path) -> Scan:
    """Return how many frames the video stream shows and when; raises as :func:`open_clip` does."""
    contents = check_file(path)
    with open_media(path, checked=True) as container:
        return _scanned(container, video_stream(container, path), path, contents)[0]


@dataclass
class _Packets:
    """The packets of a stream that show something, and how many of them come before the first whole frame."""

    shown: list[Stamp] = field(default_factory=list)
    leading: int = 0
    full: int = 0
    """Packets that are more than a mark that a frame was stored with the one before."""
    held: list[Decodable] | None = field(default_factory=list)
    """All packets, in order; ``None`` where they are too large to hold."""


def _scanned(
    container: InputContainer, stream: VideoStream, path: Path, contents: Contents
) -> tuple[Scan, list[Decodable] | None]:
    """Return what a stream shows, and what decodes to its frames; ``None`` where that is too large to hold."""
    parts = contents.parts
    name = stream.codec_context.name
    packets = _packets(container, stream, path, contents)
    unit = float(stream.time_base) if stream.time_base else 1.0
    rates = [float(rate) if rate else None for rate in (stream.average_rate, stream.base_rate, stream.guessed_rate)]
    remarks = [f"{parts} transport streams, joined"] if parts > 1 else []
    stamps, held = packets.shown, packets.held
    if name not in _ONE_FRAME_PER_PACKET or (name in _LEADING and packets.leading):
        stamps, held = _decoded(held, path)
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
    return Scan(len(stamps), clock, tuple(remarks)), held


def _packets(container: InputContainer, stream: VideoStream, path: Path, contents: Contents) -> _Packets:
    found = _Packets()
    hidden = size = 0
    first: int | None = None
    in_avi = container.format.name == "avi"
    try:
        for packet in container.demux(stream):
            length = packet.size
            size += length
            found.held = None if size > _HELD else found.held
            if found.held is not None:
                found.held.append(packet)
            if not length:
                continue
            # Where transport streams were joined, FFmpeg takes the seam for a loss; their packets were counted.
            if packet.is_corrupt and contents.parts == 1:
                raise MediaError(f"{path}: the data of frame {len(found.shown)} is cut; the file is truncated")
            if packet.is_discard:
                hidden += 1
                continue
            shown = packet.pts
            first = shown if first is None else first
            # Shown before the first frame that was stored, so that it may need frames before that.
            found.leading += bool(found.shown) and shown is not None and first is not None and shown < first
            found.full += length > _MARK
            # An AVI has no times of presentation: a frame's place in the file is its time.
            found.shown.append(Stamp(packet.dts if in_avi else shown, packet.dts, packet.duration))
    except av.error.FFmpegError as error:
        where = f"the data after frame {len(found.shown)} cannot be read"
        raise MediaError(f"{path}: {where} ({error_text(error)})") from error
    _check_declared(container, stream, path, contents, len(found.shown), hidden)
    return found


def _decoded(packets: Iterable[Decodable] | None, path: Path) -> tuple[list[Stamp], list[Decodable] | None]:
    """Return when each frame is shown, and the frames; ``None`` where they are too large to hold."""
    if packets is None:
        with open_media(path, checked=True) as container:
            return _decoded(container.demux(video_stream(container, path)), path)
    stamps: list[Stamp] = []
    held: list[Decodable] | None = []
    each = 0
    for frame in decode_frames(packets, path):
        stamps.append(Stamp(frame.pts, None, frame.duration))
        each = each or sum(plane.buffer_size for plane in frame.planes)
        held = None if len(stamps) * each > _HELD else held
        if held is not None:
            held.append(_Shown(frame))
    return stamps, held


def _check_declared(
    container: InputContainer, stream: VideoStream, path: Path, contents: Contents, shown: int, hidden: int
) -> None:
    """Compare the packets that were read with those that the file holds, and with those that its header declares."""
    in_avi, in_mp4 = container.format.name == "avi", "mov" in container.format.name
    held = contents.held(stream.index if in_avi else stream.id, container.streams.video.index(stream))
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
