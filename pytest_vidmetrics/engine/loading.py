"""Reading the clips of a sample, and the frames of a clip as each metric wants them: uploaded once, and watched."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.engine.identity import keys_read
from pytest_vidmetrics.engine.inputs import as_video, check_frames
from pytest_vidmetrics.engine.values import is_clip
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.media.video import Clip

_COLLECT_BYTES = 256 << 20
_decoded = 0


def requests_for(metrics: Iterable[BaseMetric], sample: Mapping[str, Any]) -> dict[str, list[FrameRequest]]:
    """Return which frames of which clips of a sample the metrics ask for. A clip that none reads is not listed."""
    wanted: dict[str, list[FrameRequest]] = {}
    for metric in metrics:
        for key in keys_read(metric):
            if is_clip(key, sample.get(key)):
                requests = wanted.setdefault(key, [])
                if (request := metric.frames()) not in requests:
                    requests.append(request)
    return wanted


def read(value: Any, key: str, requests: list[FrameRequest]) -> Clip:
    """Return the frames of a sample value that ``requests`` ask for, as decoded or as given.

    The caller's :class:`Video` is not changed. Raises ``TypeError`` and ``ValueError`` for something that is no
    clip and :class:`~pytest_vidmetrics.core.errors.MediaError` for a file that cannot be read.
    """
    from pytest_vidmetrics.media.video import Clip, read_clip

    try:
        video = as_video(value)
    except TypeError:
        raise TypeError(f"{key} is a {type(value).__name__}: expected a path, a tensor or a Video") from None
    if video.frames is not None:
        # Frames that are given are all there, whatever is asked for.
        frames = check_frames(video.frames, key)
        return Clip(frames, tuple(range(len(frames))), len(frames), video.fps)
    if video.source is None:
        raise ValueError(f"{key} is a Video with neither a source nor frames")
    clip = read_clip(video.source, requests[0], extra=requests[1:])
    _collect_after(clip.nbytes)
    # A rate that the caller gives stands in for the file's times too.
    return clip if video.fps is None else dataclasses.replace(clip, fps=video.fps, times=None)


def _collect_after(nbytes: int) -> None:
    """Collect garbage once enough was decoded.

    PyAV's frames and their side data refer to each other, so that only Python's collector frees them, and so few
    objects do not make it run.
    """
    global _decoded
    _decoded += nbytes
    if _decoded >= _COLLECT_BYTES:
        _decoded = 0
        gc.collect()


class HeldClip:
    """A clip in memory, or why it could not be read, shared by every metric that looks at it.

    Frames go to a device once, and are the same tensor for all metrics that ask for the same ones. Whoever writes
    into them is found out by :meth:`check`; :attr:`spoiled` then says who it was, and nothing may be scored on them.
    """

    def __init__(self, clip: Clip | None, error: Exception | None = None) -> None:
        self.clip, self.error = clip, error
        self.spoiled = ""
        self._uploaded: dict[tuple[str, int], torch.Tensor] = {}
        self._prepared: dict[tuple[FrameRequest, str, str], torch.Tensor] = {}
        self._seals: dict[int, tuple[torch.Tensor, tuple[int | None, int | None]]] = {}
        self._constancy: dict[FrameRequest, str] = {}

    @classmethod
    def read(cls, value: Any, key: str, requests: list[FrameRequest], *, pin: bool = False) -> HeldClip:
        """Read a clip; what cannot be read becomes the status of the metrics that want it."""
        try:
            clip = read(value, key, requests)
            return cls(_pinned(clip) if pin else clip)
        except Exception as error:
            return cls(None, error)

    @property
    def nbytes(self) -> int:
        """Memory of the frames on the host."""
        return self.clip.nbytes if self.clip is not None else 0

    def holds(self, requests: Iterable[FrameRequest]) -> bool:
        """Whether it has the frames that are asked for, as they were read."""
        clip = self.clip
        return clip is not None and not self.spoiled and all(clip.holds(one) for one in requests)

    def frames(self, request: FrameRequest, pixels: str, device: str, *, keep: bool) -> torch.Tensor:
        """Return the frames on a device as a metric wants them. With ``keep`` they stay there for the next one.

        Raises what reading the clip raised.
        """
        if self.error is not None:
            raise self.error
        name = (request, pixels, device)
        if name not in self._prepared:
            found = self._on_device(request, pixels, device, keep)
            # By identity, and with the tensor kept: an id is used again once its object is gone.
            self._seals[id(found)] = (found, _seal(found))
            if not keep:
                return found
            self._prepared[name] = found
        return self._prepared[name]

    def facts(self, request: FrameRequest, rate: Any, reference: HeldClip | None) -> ClipFacts:
        """Return what the clip is beside its pixels, for the frames that a metric looks at.

        ``rate`` is the one that its sample states, if it is a number; ``reference`` is a clip that may show the same.
        """
        from pytest_vidmetrics.media.constancy import constancy

        assert self.clip is not None, "only of a clip that could be read"
        clip = self.clip
        if request not in self._constancy:
            self._constancy[request] = constancy(clip.select(request))
        stated = float(rate) if isinstance(rate, int | float) and rate > 0 else None
        seconds = clip.seconds if stated is None else clip.total / stated
        return ClipFacts(
            clip.total,
            *clip.size,
            _thousandths(stated or clip.fps),
            _thousandths(seconds),
            self._constancy[request],
            copied=reference is not None and self._shows(reference, request),
        )

    def _shows(self, other: HeldClip, request: FrameRequest) -> bool:
        """Whether the frames of a request are those of another clip. For most clips the first one tells."""
        import torch

        if other is self:
            return True
        assert self.clip is not None, "only of clips that could be read"
        assert other.clip is not None, "only of clips that could be read"
        mine, theirs = self.clip.select(request), other.clip.select(request)
        return mine.shape == theirs.shape and all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))

    def _on_device(self, request: FrameRequest, pixels: str, device: str, keep: bool) -> torch.Tensor:
        assert self.clip is not None
        clip, size = self.clip, request.size
        if size is not None and clip.scaled is not None:
            # Scaled by the decoder already: no size is left to ask for.
            clip, request = clip.scaled[size], dataclasses.replace(request, size=None)
        if keep:
            # One upload for all requests of a size; what each wants is selected from it.
            where = (device, id(clip))
            if where not in self._uploaded:
                self._uploaded[where] = clip.frames.to(device, non_blocking=True)
            clip = dataclasses.replace(clip, frames=self._uploaded[where])
        return _as_pixels(clip.select(request).to(device), pixels)

    def check(self, frames: torch.Tensor, who: str, key: str, *, keep: bool) -> None:
        """Note when ``who`` wrote into frames that :meth:`frames` gave out; without ``keep`` they are forgotten."""
        tensor, seal = self._seals[id(frames)]
        if _seal(tensor) != seal:
            self.spoiled = f"{who} changed the frames of {key!r} in place"
        if not keep:
            # Forgotten with the tensor, whose id may come again.
            del self._seals[id(frames)]


def _thousandths(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _pinned(clip: Clip) -> Clip:
    """Return a clip in memory that a GPU can copy from while the host goes on."""
    frames = clip.frames.pin_memory() if clip.frames.device.type == "cpu" else clip.frames
    scaled = None if clip.scaled is None else {size: _pinned(one) for size, one in clip.scaled.items()}
    return dataclasses.replace(clip, frames=frames, scaled=scaled)


def _as_pixels(frames: torch.Tensor, pixels: str) -> torch.Tensor:
    """Return frames as uint8 in 0..255, or as float32 in [0, 1]."""
    import torch

    if pixels == "uint8":
        # Rounded, not cut: 255 times a level over 255 may lie just below it.
        return frames.mul(255).round_().clamp_(0, 255).to(torch.uint8) if frames.is_floating_point() else frames
    # `frames.float()` of integers is a copy already, so that it may be divided in place.
    return frames.float() if frames.is_floating_point() else frames.float().div_(255)


def _seal(frames: torch.Tensor) -> tuple[int | None, int | None]:
    """Return what changes when somebody writes: torch's own count, and on the host the sum of the bytes.

    The count misses writes through numpy, which shares the memory of tensors on the host: 5 ms of 40 MB find them.
    """
    # Tensors made in inference mode count no versions.
    version = None if frames.is_inference() else frames._version
    return version, _byte_sum(frames) if frames.device.type == "cpu" else None


def _byte_sum(frames: torch.Tensor) -> int:
    import torch

    storage = frames.untyped_storage()
    if storage.nbytes() > 2 * frames.nbytes:  # a few frames of somebody's long tensor
        storage = frames.contiguous().untyped_storage()
    # The storage as bytes, without a copy.
    data = torch.empty(0, dtype=torch.uint8).set_(storage)
    # Eight bytes at a time; sums of int64 wrap around, and one changed byte still changes them.
    whole = len(data) // 8 * 8
    return int(data[:whole].view(torch.int64).sum()) + int(data[whole:].sum())
