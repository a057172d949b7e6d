"""Filters of libavfilter that measure frames, as PyAV carries them: values by frame, the same on every machine.

Frames become studio-range YUV by integer arithmetic here, not by swscale, whose results depend on the processor. One
thread filters them: sums of floats keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from av import VideoFrame
    from av.filter import FilterContext

Planes = Literal["gray", "yuv444p"]
"""What a filter sees: the luma alone, or luma and chroma at full size."""

_TO_YUV = ((16829, 33039, 6416), (-9714, -19070, 28784), (28784, -24103, -4681))
"""ITU-R BT.601 by 65536: R, G and B in 0..255 to Y in 16..235, U and V in 16..240."""
_OFFSETS = (16, 128, 128)


def measured(
    name: str,
    options: str,
    frames: Sequence[torch.Tensor] | torch.Tensor,
    reference: torch.Tensor | None = None,
    *,
    planes: Planes = "gray",
    seconds: Fraction = Fraction(1, 24),
) -> list[dict[str, str]]:
    """Return what the filter ``name`` says about each frame, as it writes it, without the prefix ``lavfi.``.

    ``frames`` and ``reference`` are ``T`` times ``(3, H, W)`` uint8, of one size and length; a frame lasts ``seconds``.
    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` when this PyAV was built without the filter, and
    :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames that the filter refuses.
    """
    from av import FFmpegError, VideoFormat, filter

    if name not in filter.filters_available:
        raise UnavailableError(f"this PyAV was built without the filter {name!r}: pip install --force-reinstall av")
    height, width = frames[0].shape[1:]
    sides = [frames] if reference is None else [frames, reference]
    found: list[dict[str, str]] = []
    try:
        graph = filter.Graph()
        graph.threads = 1
        inputs = [
            graph.add_buffer(width=width, height=height, format=VideoFormat(planes), time_base=seconds) for _ in sides
        ]
        measure, sink = graph.add(name, options or None), graph.add("buffersink")
        for index, one in enumerate(inputs):
            one.link_to(measure, 0, index)
        measure.link_to(sink)
        graph.configure()
        for index, images in enumerate(zip(*(converted(side, planes) for side in sides), strict=True)):
            for one, image in zip(inputs, images, strict=True):
                one.push(_as_frame(image, planes, index, seconds))
            # Pulled after each push, so that the sink never holds all frames.
            found += _pulled(sink)
        # None ends a stream, and lets filters give out what they hold back.
        for one in inputs:
            one.push(None)
        found += _pulled(sink)
    except FFmpegError as error:
        raise IncompatibleSampleError(f"the filter {name!r} cannot read frames of {width}x{height}: {error}") from error
    return found


def numbers(found: Sequence[dict[str, str]], key: str) -> list[float | None]:
    """Return the value of ``key`` of each frame: ``None`` where the filter found nothing to measure."""
    import math

    values = [float(one[key]) if key in one else math.nan for one in found]
    return [None if math.isnan(value) else value for value in values]


def converted(frames: Iterable[torch.Tensor], planes: Planes) -> Iterator[np.ndarray]:
    """Yield each of ``(3, H, W)`` uint8 RGB frames as ``(H, W)`` luma or ``(3, H, W)`` planes, uint8."""
    import torch

    rows = 1 if planes == "gray" else 3
    weights = torch.tensor(_TO_YUV[:rows], dtype=torch.int32)
    # 16.16 fixed point; half a unit rounds to the nearest.
    offsets = torch.tensor(_OFFSETS[:rows], dtype=torch.int32) * 65536 + 32768
    for frame in frames:
        rgb = frame.cpu().int()
        # Products of integers: `matmul` of int32 is exact, but slow; three multiplications are not.
        parts = [weights[row, 0] * rgb[0] + weights[row, 1] * rgb[1] + weights[row, 2] * rgb[2] for row in range(rows)]
        stacked = torch.stack([(part + offset) >> 16 for part, offset in zip(parts, offsets, strict=True)])
        whole: np.ndarray = stacked.to(torch.uint8).numpy()
        yield whole[0] if rows == 1 else whole


def mean_of(values: Iterable[float | None]) -> float | None:
    """Return the mean of the frames that have a value, ``None`` when none has."""
    import math

    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def _as_frame(image: np.ndarray, planes: Planes, index: int, seconds: Fraction) -> VideoFrame:
    from av import VideoFrame

    frame = VideoFrame.from_ndarray(image, format=planes)
    frame.pts, frame.time_base = index, seconds
    return frame


def _pulled(sink: FilterContext) -> Iterator[dict[str, str]]:
    """Yield what the frames carry that the filter has finished."""
    from av import BlockingIOError, EOFError

    while True:
        try:
            frame = sink.pull()
        # The filter waits for more frames, or is done.
        except (BlockingIOError, EOFError):
            return
        yield {key.removeprefix("lavfi."): value for key, value in frame.metadata.items()}
