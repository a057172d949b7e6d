"""VBench color: whether the object of the prompt has the colour that the prompt gives it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError, closest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.objects import FRAMES, ObjectMetric, resized
from pytest_vidmetrics.metrics.vbench.totals import Compat

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.grit.clip import Resize
    from pytest_vidmetrics.networks.grit.network import FrameObjects

COLOURS = (
    "white",
    "red",
    "pink",
    "blue",
    "silver",
    "purple",
    "orange",
    "green",
    "gray",
    "yellow",
    "black",
    "grey",
)


@register("vbench.color")
class Color(ObjectMetric):
    """Of the frames in which GRiT's captions give the object a colour, the share with the right one; 0 to 1.

    The colour is ``auxiliary_info.color``, one of twelve words; the object is what is left of ``text_prompt`` without
    it and without articles: see :func:`object_of`. A clip in which no caption gives the object a colour has no score.

    ``compat="upstream"`` keeps what its published scores have. All captions of a frame count for the object when the
    label of its best box is the object. Colours may be parts of words ("colored" is red), articles are deleted inside
    of words too. Frames above 768 pixels are resized on whole levels as OpenCV does, unlike those of the
    other dimensions, which then need a look of their own. A clip without a score is left out of a corpus.
    ``"fixed"``: a caption counts for its own label; colours and articles are whole words; frames are resized as for
    the other dimensions; a clip in which nothing shows the object in some colour scores 0.

    A colour outside of the twelve and a prompt without an object are errors. Upstream counts frames for the former
    that it does not count in the denominator. ``chunk_size``: see :class:`ObjectMetric`.
    Source: Vchitect/VBench ``color.py``, arXiv 2311.17982.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "auxiliary_info", "text_prompt")

    def __init__(self, compat: Compat = "upstream", chunk_size: int = FRAMES) -> None:
        super().__init__(chunk_size)
        one_of("compat", compat, ("upstream", "fixed"))
        self.compat: Compat = compat

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; the details count the frames that give the object a colour, and the right one."""
        colour = self.text(sample, "color")
        if colour is None:
            return self._skip(sample, "auxiliary_info has no colour under 'color'")
        if colour not in COLOURS:
            raise IncompatibleSampleError(
                f"{self.name} does not know the colour {colour!r}{closest(colour, COLOURS)} "
                f"(it knows: {', '.join(COLOURS)})"
            )
        prompt = self.words(sample)
        name = object_of(prompt, colour, self.compat)
        if not name:
            raise IncompatibleSampleError(f"{self.name} finds no object in {prompt!r} beside {colour!r}")
        return self.result(count(self.objects(sample), name, colour, self.compat), name, colour)

    def result(self, counts: Counts, name: str, colour: str) -> MetricResult:
        """Return the result of a clip from its counted frames."""
        details = {
            "object": name,
            "color": colour,
            "object_frames": counts.coloured,
            "color_frames": counts.right,
            "cur_success_frame_rate": counts.right / counts.coloured if counts.coloured else None,
        }
        if counts.coloured:
            return MetricResult(self.name, counts.right / counts.coloured, details)
        if self.compat == "fixed":
            return MetricResult(self.name, 0.0, details)
        reason = f"no caption gives the object {name!r} a colour in any frame"
        return MetricResult(self.name, None, {**details, "skipped": reason, "reason": reason}, "skipped")

    def left_out(self, result: MetricResult) -> bool:
        """Whether a clip without a score is one that upstream leaves out of a corpus."""
        return result.score is None and result.details.get("object_frames") == 0

    def resizing(self, video: torch.Tensor) -> tuple[Resize, str]:
        """Return OpenCV's bilinear on whole levels, as upstream reads frames for this dimension alone."""
        size = resized(video.shape[-2], video.shape[-1])
        if size is None or self.compat == "fixed":
            return super().resizing(video)
        from pytest_vidmetrics.media.resize import cv2_bilinear_uint8

        return (lambda frames: cv2_bilinear_uint8(frames, size)), "cv2"


@dataclass(frozen=True)
class Counts:
    """In how many frames some caption gives the object a colour, and in how many the right one."""

    coloured: int
    right: int


def object_of(prompt: str, colour: str, compat: Compat = "upstream") -> str:
    """Return what a prompt asks for, without its colour and without "a " and "an ".

    Upstream deletes these letters also inside of words: "a green panda bear" is about a "pandbear".
    """
    if compat == "upstream":
        return prompt.replace("a ", "").replace("an ", "").replace(colour, "").strip()
    return " ".join(word for word in prompt.split() if word.lower() not in ("a", "an", colour))


def count(frames: list[FrameObjects], name: str, colour: str, compat: Compat = "upstream") -> Counts:
    """Return how many frames give the object some colour, and the right one."""
    about = [_captions_about(frame, name, compat) for frame in frames]
    coloured = sum(any(_has(caption, word, compat) for caption in one for word in COLOURS) for one in about)
    return Counts(coloured, sum(any(_has(caption, colour, compat) for caption in one) for one in about))


def _captions_about(frame: FrameObjects, name: str, compat: Compat) -> list[str]:
    if compat == "upstream":
        return list(frame.captions) if frame.labels[:1] == (name,) else []
    return [caption for label, caption in zip(frame.labels, frame.captions, strict=True) if label == name]


def _has(caption: str, colour: str, compat: Compat) -> bool:
    return colour in caption if compat == "upstream" else re.search(rf"\b{colour}\b", caption) is not None
