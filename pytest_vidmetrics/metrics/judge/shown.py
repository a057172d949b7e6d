"""What a judge of pairs is told and shown: the rubric, the clips, and the picture that they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.hashing import digest_file, digest_json
from pytest_vidmetrics.metrics.judge.calls import Shown


@dataclass(frozen=True)
class Rubric:
    """What a judge is told: before, about each clip, and after; and the form of its answer."""

    name: str
    system: str
    picture: str
    first: str
    second: str
    task: str
    schema: Mapping[str, Any]

    def digest(self) -> str:
        """Return the digest of all of it."""
        texts = [self.name, self.system, self.picture, self.first, self.second, self.task]
        return digest_json([texts, dict(self.schema)])[:16]


def shown_clip(sample: Mapping[str, Any], key: str) -> Shown:
    """Return the clip under a key of a sample, known by its content."""
    path = sample.get(f"{key}_path")
    frames = sample[key]
    rate = sample.get("fps" if key == "video" else f"{key}_fps")
    digest = digest_file(path) if path is not None else _digest(frames)
    return Shown("video", digest, path, frames, None if rate is None else float(rate))


def shown_picture(sample: Mapping[str, Any]) -> Shown | None:
    """Return the picture that both clips were made from, if the sample names one."""
    path = sample.get("image_path")
    if path is None:
        return None
    from pytest_vidmetrics.media.video import read_clip

    return Shown("image", digest_file(path), str(path), read_clip(path, FrameRequest(1)).frames)


def _digest(frames: Any) -> str:
    from pytest_vidmetrics.media.pixels import frame_digest

    return hashlib.sha256("".join(frame_digest(frame) for frame in frames).encode()).hexdigest()
