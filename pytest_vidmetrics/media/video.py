"""Decoding clips to uint8 frames: videos, GIFs, folders of images and single images.

One decoder (PyAV) with one recorded recipe, see :data:`DECODER_ID`. Only the requested frames are converted and
kept; the others are decoded and dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.media.arrays import ARRAY_SUFFIXES, read_array
from pytest_vidmetrics.media.container import decode_frames, find_video, open_media
from pytest_vidmetrics.media.formats import IMAGE_SUFFIXES
from pytest_vidmetrics.media.images import image_size, list_images, read_images
from pytest_vidmetrics.media.orientation import Orientation, Pixels, orientation_of
from pytest_vidmetrics.media.recipe import DECODER_ID, INTERPOLATION, PIXEL_FORMAT, RESCALE_THREADS
from pytest_vidmetrics.media.scaling import Scaler
from pytest_vidmetrics.media.scan import OpenClip, open_clip, scan_video

if TYPE_CHECKING:
    import torch
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["DECODER_ID", "Clip", "ClipInfo", "probe", "read_clip"]

_FLAGS = Interpolation[INTERPOLATION]

UNSCALED_SUFFIXES = frozenset({".gif"})
"""Video files that come at their own size whatever a request says: upstream reads them as images."""


@dataclass(frozen=True)
class Clip:
    """Decoded frames of one clip.

    ``frames`` is ``(T, 3, H, W)`` uint8 RGB, channels last in memory; ``indices[i]`` is the number of ``frames[i]``
    in the clip (ascending), ``total`` how many frames the clip has, ``fps`` its mean frames per second (``None`` for
    images). ``times`` is ``None`` where frame ``i`` of the clip is shown at ``i / fps``; for a variable rate it holds
    when each frame begins, in seconds from the first, and when the last one ends. ``scaled`` holds the frames that the
    decoder scaled, by size; ``None`` where there was no decoder that does. ``shown`` is the ``(width, height)`` of a
    video as displayed.
    """

    frames: torch.Tensor
    indices: tuple[int, ...]
    total: int
    fps: float | None
    times: tuple[float, ...] | None = None
    scaled: Mapping[tuple[int, int], Clip] | None = None
    shown: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)`` of the clip, whatever sizes of it were read."""
        return self.shown or (int(self.frames.shape[3]), int(self.frames.shape[2]))

    @property
    def seconds(self) -> float | None:
        """How long the clip is shown; ``None`` where nothing says its rate."""
        if self.times is not None:
            return self.times[-1]
        return self.total / self.fps if self.fps else None

    @property
    def nbytes(self) -> int:
        """How much memory the frames of all sizes take."""
        return self.frames.nbytes + sum(clip.nbytes for clip in (self.scaled or {}).values())

    def holds(self, request: FrameRequest) -> bool:
        """Whether :meth:`select` can answer a request."""
        if request.size is not None and self.scaled is not None:
            other = self.scaled.get(request.size)
            return other is not None and other.holds(replace(request, size=None))
        return set(request.indices(self.total)) <= set(self.indices)

    def select(self, request: FrameRequest) -> torch.Tensor:
        """Return the frames of one request, ``(T, 3, H, W)`` uint8.

        A view when every frame is taken. Raises ``KeyError`` for a frame or a size that was not read.
        """
        if request.size is not None and self.scaled is not None:
            return self.scaled[request.size].select(replace(request, size=None))
        row = {index: i for i, index in enumerate(self.indices)}
        rows = [row[index] for index in request.indices(self.total)]
        if rows == list(range(len(self.indices))):
            return self.frames
        if self.frames.device.type == "cpu":
            return self.frames[rows]
        import torch

        # A list of rows would have to be copied to the device.
        return torch.cat([self.frames[one : one + 1] for one in rows])


@dataclass(frozen=True)
class ClipInfo:
    """What a file holds: frame count, size in pixels as displayed, rate, length in seconds, kinds of streams.

    ``frames``, ``width``, ``height`` and ``fps`` are ``None`` for a file without video. ``times`` as in :class:`Clip`;
    ``remarks`` say what is unusual, such as a variable frame rate.
    """

    frames: int | None
    width: int | None
    height: int | None
    fps: float | None
    has_video: bool
    has_audio: bool
    duration: float | None
    times: tuple[float, ...] | None = None
    remarks: tuple[str, ...] = ()


def read_clip(
    path: str | os.PathLike[str], request: FrameRequest = ALL_FRAMES, *, extra: Sequence[FrameRequest] = ()
) -> Clip:
    """Decode the frames that ``request`` and ``extra`` ask for, each once.

    ``path`` is a video, a GIF, an ``.npz`` file (see :mod:`.arrays`), a folder of equally large images in natural
    order, or one image. Decoding stops after the last frame that is needed. A request for a size is met by the
    decoder, see :mod:`.scaling`. Raises :class:`MediaError`, which names the file, when it is missing, empty,
    truncated, damaged, not media, or has no frames.
    """
    where = Path(path)
    requests = (request, *extra)
    if where.is_dir() or where.suffix.lower() in IMAGE_SUFFIXES:
        paths = list_images(where) if where.is_dir() else [where]
        wanted = _wanted(requests, len(paths))
        return Clip(read_images(paths, wanted), wanted, len(paths), None)
    if where.suffix.lower() in ARRAY_SUFFIXES:
        return _of_array(where, requests)
    unscaled = where.suffix.lower() in UNSCALED_SUFFIXES
    if unscaled:
        requests = tuple(replace(one, size=None) for one in requests)
    with open_clip(where) as opened:
        total, clock = opened.scan.frames, opened.scan.clock
        sizes = dict.fromkeys((None, *(one.size for one in requests)))
        numbers = {size: _wanted([one for one in requests if one.size == size], total) for size in sizes}
        read, shown = _decode(opened, where, numbers)
    clips = {size: Clip(frames, numbers[size], total, clock.fps, clock.times) for size, frames in read.items()}
    scaled = {size: clip for size, clip in clips.items() if size is not None}
    return replace(clips[None], scaled=None if unscaled else scaled, shown=shown)


def _of_array(path: Path, requests: Sequence[FrameRequest]) -> Clip:
    import torch

    pixels = read_array(path)
    wanted = _wanted(requests, len(pixels))
    rows = np.ascontiguousarray(pixels[list(wanted)].transpose(0, 2, 3, 1))
    return Clip(torch.from_numpy(rows).permute(0, 3, 1, 2), wanted, len(pixels), None)


def _wanted(requests: Sequence[FrameRequest], total: int) -> tuple[int, ...]:
    return tuple(sorted({index for request in requests for index in request.indices(total)}))


Size = tuple[int, int] | None
"""``(height, width)`` as displayed; ``None`` for the frame's own."""


class _Rows:
    """The frames of one size, filled in as they are decoded."""

    def __init__(self, path: Path, wanted: tuple[int, ...], convert: Callable[[VideoFrame], Pixels]) -> None:
        self._path, self._wanted, self._convert = path, wanted, convert
        self._row = 0
        self._stored = 0, 0
        self._out: Pixels = np.empty((0, 3, 0, 0), dtype=np.uint8)

    @property
    def complete(self) -> bool:
        """Whether every wanted frame was offered."""
        return self._row == len(self._wanted)

    def offer(self, number: int, frame: VideoFrame, orientation: Orientation) -> None:
        """Convert and keep a frame if it is the next that is wanted."""
        if self.complete or number != self._wanted[self._row]:
            return
        if self._row == 0:
            self._stored = frame.width, frame.height
        elif self._stored != (frame.width, frame.height):
            raise MediaError(f"{self._path}: the picture size changes at frame {number}")
        pixels = orientation.apply(self._convert(frame))
        if self._row == 0:
            # Channels last in memory, as decoded: no transposing copy, and resizing is twice as fast.
            _, height, width = pixels.shape
            self._out = np.empty((len(self._wanted), height, width, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
        self._out[self._row] = pixels
        self._row += 1

    def tensor(self) -> torch.Tensor:
        """Return ``(T, 3, H, W)``."""
        import torch

        return torch.from_numpy(self._out)


def _decode(
    clip: OpenClip, path: Path, wanted: Mapping[Size, tuple[int, ...]]
) -> tuple[dict[Size, torch.Tensor], tuple[int, int]]:
    """Return the wanted frames of each size, and ``(width, height)`` as displayed."""
    if not any(wanted.values()):
        raise ValueError("the request asks for no frames")
    orientation, shown = Orientation(), (0, 0)
    number, total = 0, clip.scan.frames
    rows: dict[Size, _Rows] = {}
    # Closed explicitly: an abandoned generator would keep the file open until it is collected.
    with closing(decode_frames(clip.packets, path)) as decoding:
        for number, frame in enumerate(decoding):
            if number == 0:
                # The matrix is the stream's. Reading a frame's side data ties the two into a reference cycle,
                # so that every frame read would stay in memory until Python's collector runs.
                orientation = orientation_of(frame, path)
                shown = orientation.size(frame.width, frame.height)
                rows = {size: _Rows(path, wanted[size], _converter(clip.stream, size, orientation)) for size in wanted}
            for one in rows.values():
                one.offer(number, frame, orientation)
            if all(one.complete for one in rows.values()) and number + 1 < total:
                break
    if not rows or not all(one.complete for one in rows.values()):
        raise MediaError(f"{path}: truncated or damaged: {total} frames declared, {number + 1} can be decoded")
    return {size: one.tensor() for size, one in rows.items()}, shown


def _converter(stream: VideoStream, size: Size, orientation: Orientation) -> Callable[[VideoFrame], Pixels]:
    """Return what turns a frame into ``(3, H, W)`` uint8 as stored, before it is turned."""
    if size is None:
        reformatter = VideoReformatter()
        return lambda frame: _to_rgb(reformatter, frame)
    return Scaler(stream, orientation.size(*size))


def _to_rgb(reformatter: VideoReformatter, frame: VideoFrame) -> Pixels:
    """Return one frame as a ``(3, H, W)`` uint8 view of what swscale wrote, as stored."""
    rgb = reformatter.reformat(frame, format=PIXEL_FORMAT, interpolation=_FLAGS, threads=RESCALE_THREADS)
    if rgb is frame:  # as it was stored, which may be from the last row to the first
        return np.asarray(rgb.to_ndarray(), dtype=np.uint8).transpose(2, 0, 1)
    plane = rgb.planes[0]
    rows: Pixels = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(rgb.height, plane.line_size)
    return rows[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3).transpose(2, 0, 1)


def probe(path: str | os.PathLike[str]) -> ClipInfo:
    """Return what a file or folder of images holds; one frame is decoded for the displayed size.

    Raises :class:`MediaError` as :func:`read_clip` does, but not for a file that holds audio only.
    """
    where = Path(path)
    if where.is_dir() or where.suffix.lower() in IMAGE_SUFFIXES:
        paths = list_images(where) if where.is_dir() else [where]
        width, height = image_size(paths[0])
        return ClipInfo(len(paths), width, height, None, has_video=True, has_audio=False, duration=None)
    if where.suffix.lower() in ARRAY_SUFFIXES:
        frames, _, height, width = read_array(where).shape
        return ClipInfo(frames, width, height, None, has_video=True, has_audio=False, duration=None)
    with open_media(where) as container:
        audio = bool(container.streams.audio)
        duration = None if container.duration is None else container.duration / 1_000_000
        stream = find_video(container)
        if stream is None:
            return ClipInfo(None, None, None, None, has_video=False, has_audio=audio, duration=duration)
        with closing(decode_frames(container.demux(stream), where)) as decoding:
            frame = next(decoding, None)
        if frame is None:
            raise MediaError(f"{where}: the video stream has no frames")
        size = orientation_of(frame, where).size(frame.width, frame.height)
    scan = scan_video(where)
    return ClipInfo(scan.frames, *size, scan.clock.fps, True, audio, duration, scan.clock.times, scan.remarks)
