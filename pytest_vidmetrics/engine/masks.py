"""Motion masks that Physics-IQ publishes beside its recordings, found by the recording's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.engine.loading import source_of

_RECORDING, _MASK = "_testing-videos_", "_video-masks_"
_FOLDERS = ("video-masks", "video_masks")


def with_masks(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sample with the published masks of its recordings where none are given.

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
