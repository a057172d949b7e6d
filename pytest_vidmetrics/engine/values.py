"""What a sample's values mean: which are clips, where these lie, and what a clip implies: its sound, its masks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.types import Video

if TYPE_CHECKING:
    from pytest_vidmetrics.media.video import Clip

CLIP_KEYS = ("video", "reference", "reference_take2")
"""Sample keys whose value is a clip, given as a path, a tensor or a :class:`Video`."""

IMPLIED = ("audio", "reference_audio", "reference_mask", "reference_take2_mask")
"""Sample keys that clips imply where they are not given, see :func:`completed`."""

_RECORDING, _MASK = "_testing-videos_", "_video-masks_"
_FOLDERS = ("video-masks", "video_masks")


def rate_key(key: str) -> str:
    """Return the sample key of a clip's frames per second: ``fps`` for ``video``, else ``<key>_fps``."""
    return "fps" if key == "video" else f"{key}_fps"


def times_key(key: str) -> str:
    """Return the sample key of the times of a clip's frames: ``times`` for ``video``, else ``<key>_times``."""
    return "times" if key == "video" else f"{key}_times"


def timing(key: str, clip: Clip, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a clip says of its times as sample values, unless the sample states a rate of its own.

    That is its mean rate, and for a variable rate when each frame begins, in seconds from the first, and when the
    last one ends.
    """
    if clip.fps is None or sample.get(rate_key(key)) is not None:
        return {}
    found: dict[str, Any] = {rate_key(key): clip.fps}
    return found if clip.times is None else {**found, times_key(key): clip.times}


def is_clip(key: str, value: Any) -> bool:
    """Whether a sample value is decoded to frames."""
    return value is not None and (key in CLIP_KEYS or isinstance(value, Video))


def source_of(value: Any) -> str | None:
    """Return the path that a sample value names, if it names one."""
    if isinstance(value, Video):
        return value.source
    return os.fspath(value) if isinstance(value, str | os.PathLike) else None


def completed(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sample with what its clips imply. Nothing is read."""
    return with_masks(with_sound(sample))


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
    return os.fspath(value) if isinstance(value, str | os.PathLike) and not _is_folder(Path(value)) else None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have: whoever reads it says so
        return False


def with_masks(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sample with the motion masks that Physics-IQ publishes beside its recordings where none are given.

    ``<root>/split-videos/testing/<rate>/…_testing-videos_…`` has its mask at
    ``<root>/video-masks/real/<rate>/…_video-masks_…``. Nothing is added for a file that is not there.
    """
    found = dict(sample)
    for key in ("reference", "reference_take2"):
        path = source_of(found.get(key))
        if path is not None and found.get(f"{key}_mask") is None:
            mask = _mask_of(Path(path))
            if mask is not None:
                found[f"{key}_mask"] = mask
    return found


def _mask_of(recording: Path) -> str | None:
    if _RECORDING not in recording.name or len(recording.parents) < 4:
        return None
    root, name = recording.parents[3], recording.name.replace(_RECORDING, _MASK)
    places = (root / folder / "real" / recording.parent.name / name for folder in _FOLDERS)
    return next((str(place) for place in places if place.is_file()), None)
