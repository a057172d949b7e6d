"""Which frames a run needs, and how one sample's clips are read."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.engine.inputs import as_video, check_frames
from pytest_vidmetrics.metrics.base import BaseMetric, SetMetric

if TYPE_CHECKING:
    from pytest_vidmetrics.media.video import Clip

CLIP_KEYS = ("video", "reference", "reference_take2")
"""Sample keys whose value is a clip, given as a path, a tensor or a :class:`Video`."""

_COLLECT_BYTES = 256 << 20
_decoded = 0


def rate_key(key: str) -> str:
    """Return the sample key of a clip's frames per second: ``fps`` for ``video``, else ``<key>_fps``."""
    return "fps" if key == "video" else f"{key}_fps"


def keys_read(metric: BaseMetric) -> tuple[str, ...]:
    """Return the sample keys that a metric may read."""
    keys = [*metric.required_keys(), *metric.reads]
    if isinstance(metric, SetMetric):
        keys.append(metric.reference_key())
    return tuple(dict.fromkeys(keys))


def requests_for(metrics: Iterable[BaseMetric], sample: Mapping[str, Any]) -> dict[str, list[FrameRequest]]:
    """Return which frames of which clips of a sample the metrics ask for.

    A sample of the reference set is read by set metrics only. A clip that no metric reads is not listed.
    """
    wanted: dict[str, list[FrameRequest]] = {}
    for metric in metrics:
        if sample.get("role") == "reference" and not metric.is_set_metric:
            continue
        for key in keys_read(metric):
            value = sample.get(key)
            if value is not None and (key in CLIP_KEYS or isinstance(value, Video)):
                request = metric.frames()
                if request not in wanted.setdefault(key, []):
                    wanted[key].append(request)
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
        frames = check_frames(video.frames, key)
        return Clip(frames, tuple(range(len(frames))), len(frames), video.fps)
    if video.source is None:
        raise ValueError(f"{key} is a Video with neither a source nor frames")
    clip = read_clip(video.source, requests[0], extra=requests[1:])
    _collect_after(clip.nbytes)
    return clip if video.fps is None else dataclasses.replace(clip, fps=video.fps)


def with_sound(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sample with its clips' sound as ``audio`` and ``reference_audio`` where these are not given.

    A clip in a file stands for its own sound by its path. A :class:`Video` becomes its path, or
    ``(samples, rate)`` where its audio is in memory. Nothing is read: the file may turn out to have no sound.
    """
    found = dict(sample)
    for key, clip in (("audio", "video"), ("reference_audio", "reference")):
        value = found.get(key)
        sound = _sound_of(found.get(clip) if value is None else value, given=value is not None)
        if sound is not None:
            found[key] = sound
    return found


def _sound_of(value: Any, *, given: bool) -> Any:
    if isinstance(value, Video):
        if value.audio is not None and value.audio_sr is not None:
            return value.audio, value.audio_sr
        value = value.source
    if given or value is None:
        return value
    # A folder of images is a clip too, but a silent one by nature.
    return os.fspath(value) if isinstance(value, str | os.PathLike) and not Path(value).is_dir() else None


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


def source_of(value: Any) -> str | None:
    """Return the path that a sample value names, if it names one."""
    if isinstance(value, Video):
        return value.source
    return os.fspath(value) if isinstance(value, str | os.PathLike) else None
