"""What a clip is beside its pixels: length, rate, size, and whether anything moves. No score sees it; gates compare it.

The facts of a clip are taken from the frames that were decoded to score it, and kept with the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.core.wording import counted

Kind = Literal["frames", "rate", "size", "duration"]
KINDS: tuple[Kind, ...] = ("frames", "rate", "size", "duration")
"""In what two clips may differ, and what the ``allow`` of a case may name."""

_SAME_RATE = 0.005
"""Part of a rate by which two rates may differ and be one: 23.976 is 24, and 25 is not."""


@dataclass(frozen=True)
class ClipFacts(Wire):
    """``frames`` of ``width`` x ``height`` pixels at ``fps`` frames per second, ``seconds`` long.

    ``fps`` and ``seconds`` are ``None`` where nothing says the rate, as for a folder of images. ``constant`` says how
    a clip is one that never changes, of the frames that its metric looks at: ``"black"`` or ``"frozen"``; empty for a
    clip that moves, and for a single frame. ``copied``: it shows the same frames as its reference.
    """

    frames: int
    width: int
    height: int
    fps: float | None = None
    seconds: float | None = None
    constant: str = ""
    copied: bool = False

    def brief(self) -> dict[str, Any]:
        """Return the wire form without what is not known or does not apply, for files that people read."""
        return {key: value for key, value in self.to_wire().items() if value not in (None, "", False)}


def facts_from(tree: Any, where: str = "") -> ClipFacts:
    """Return :meth:`ClipFacts.from_wire` of a tree: one object for equal trees, as most clips of a corpus have."""
    try:
        # Types count, as 1, 1.0 and True are equal keys.
        return _known(tuple((name, type(value), value) for name, value in tree.items()))
    except (AttributeError, TypeError, ValueError):
        return ClipFacts.from_wire(tree, where)


@lru_cache(4096)
def _known(fields: tuple[tuple[str, type, Any], ...]) -> ClipFacts:
    return ClipFacts.from_wire({name: value for name, _, value in fields})


Clips = Mapping[str, ClipFacts]
"""Facts by sample id, or by the sample key of a clip."""


def differences(one: ClipFacts, other: ClipFacts) -> dict[Kind, tuple[str, str]]:
    """Return in what two clips differ, with both values as text. What one of them does not know is no difference.

    The length in seconds follows from frames and rate: it counts where these are equal, as for variable rates.
    """
    found: dict[Kind, tuple[str, str]] = {}
    if one.frames != other.frames:
        found["frames"] = counted(one.frames, "frame"), counted(other.frames, "frame")
    if one.fps is not None and other.fps is not None and not _near(one.fps, other.fps):
        found["rate"] = f"{one.fps:g} fps", f"{other.fps:g} fps"
    if (one.width, one.height) != (other.width, other.height):
        found["size"] = f"{one.width}x{one.height}", f"{other.width}x{other.height}"
    if found.keys() & {"frames", "rate"} or one.seconds is None or other.seconds is None:
        return found
    if not _near(one.seconds, other.seconds):
        found["duration"] = f"{one.seconds:g} s", f"{other.seconds:g} s"
    return found


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME_RATE * max(abs(one), abs(other))
