"""What a generator's command wrote: one whole clip for each request, of the length, size and rate asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.gates.method import Request

_BLACK = 2
"""A clip whose every pixel is at most this bright shows nothing: a generator that failed silently."""

_RATE_TOLERANCE = 0.01


def output(folder: Path, request: Request) -> Path:
    """Return the one file that the command wrote for a request. Raises ``VidmetricsError`` for none or several."""
    stem = Path(request.output).stem
    # By stem: a file with another suffix or a second one beside it shows in the message.
    found = sorted(folder.glob(f"{stem}*")) if folder.is_dir() else []
    if not found:
        raise VidmetricsError(f"the command wrote no {request.output}")
    if [path.name for path in found] != [request.output]:
        names = ", ".join(path.name for path in found[:4])
        raise VidmetricsError(f"the command wrote {names} for one request: expected {request.output} alone")
    # The clip is moved away, and a link would be moved without what it leads to.
    if found[0].is_symlink() or not found[0].resolve().is_relative_to(folder.resolve()):
        raise VidmetricsError(
            f"{request.output} is a link: the command must write its clips into the folder {{output}}"
        )
    return found[0]


def check(path: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """Decode an output, compare it with what was asked for, and return its length, size and rate.

    Raises ``MediaError`` or ``VidmetricsError``.
    """
    from pytest_vidmetrics.media.video import read_clip

    clip = read_clip(path)
    frames = clip.frames
    found = {"frames": clip.total, "width": frames.shape[3], "height": frames.shape[2]}
    for key, value in found.items():
        if params.get(key) is not None and params[key] != value:
            raise VidmetricsError(f"{path}: {value} {key}, the method says params.{key} = {params[key]}")
    rate = params.get("fps")
    if rate is not None and clip.fps is not None and abs(clip.fps - rate) > _RATE_TOLERANCE * rate:
        raise VidmetricsError(f"{path}: {clip.fps:g} frames per second, the method says params.fps = {rate:g}")
    if int(frames.max()) <= _BLACK:
        raise VidmetricsError(f"{path}: every frame is black")
    return {**found, "fps": clip.fps}
