"""VBench scene: how many frames' captions name the place that the prompt asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import middle_indices, normalise
from pytest_vidmetrics.metrics.vbench.totals import Compat
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import TAG2TEXT, TAG2TEXT_TAGS
from pytest_vidmetrics.networks.training_colours import IMAGENET_MEAN, IMAGENET_STD
from pytest_vidmetrics.networks.wordpiece import BERT_VOCABULARY

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.tag2text.network import Described, Tag2Text

FRAMES = 16
SIZE = (384, 384)
BEAMS = 3


@register("vbench.scene")
class Scene(VBenchMetric):
    """The share of 16 frames whose Tag2Text caption contains every word of the scene's name, in [0, 1].

    The name is ``auxiliary_info["scene"]`` (such as "ice skating rink"); a sample without one is skipped. A word may
    be part of another one, and its case counts, as upstream: "art gallery" is found in "a party gallery".

    ``compat="upstream"`` makes the caption of frame ``i`` from frame ``i // 3``, by a mix-up of rows in upstream's
    batches that its published scores contain: only the first 6 of the 16 frames count, with weights 3, 3, 3, 3, 3, 1.
    ``"fixed"`` captions all 16. ``chunk_size`` frames go through the network at a time; it does not change the score.

    Frames are scaled to 384 x 384 by the video decoder, as decord does; images, GIFs and frames in memory by Pillow's
    bilinear filter, as upstream does with GIFs. Deviation: an empty name is an error (upstream: score 1).
    Source: Vchitect/VBench ``scene.py``, arXiv 2311.17982; Tag2Text arXiv 2303.05657.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "auxiliary_info")
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    backbone: ClassVar[str | None] = "tag2text-swin-b"
    noise_source: ClassVar[str] = (
        "a caption is text: TF32 and chunk sizes changed none of 32; one that flips moves a clip by 1/16 to 3/16"
    )
    tf32_change: ClassVar[float | None] = 0.0
    dependencies: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers")

    _network: Network[Tag2Text] = Network(
        "tag2text-swin-b", ".tag2text.network:read", TAG2TEXT, BERT_VOCABULARY, TAG2TEXT_TAGS
    )

    chunk_size: int

    def __init__(self, compat: Compat = "upstream", chunk_size: int = 8) -> None:
        one_of("compat", compat, ("upstream", "fixed"))
        self.compat: Compat = compat
        self.chunk_size = chunk_size

    def frames(self) -> FrameRequest:
        """Return the 16 middle frames at 384 x 384."""
        return FrameRequest(FRAMES, "middle", size=SIZE)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["captions"]`` holds the caption that counted for each frame."""
        from pytest_vidmetrics.media.resize import pil_resize
        from pytest_vidmetrics.networks.tag2text.captions import describe_frames

        words = scene_words(self.name, sample["auxiliary_info"])
        if words is None:
            return self._skip(sample, "auxiliary_info has no scene under 'scene'")
        video = self.clip(sample)
        rows = captioned_rows(middle_indices(len(video), FRAMES), self.compat)
        # A frame is captioned once, however often its caption counts.
        distinct = sorted(set(rows))
        frames = pil_resize(video[distinct], SIZE, "bilinear")
        described = describe_frames(frames, self._describe, self.weights_files(), self.chunk_size)
        captions = dict(zip(distinct, described, strict=True))
        said = [captions[row].caption for row in rows]
        count = successes(said, words)
        details = {"scene": " ".join(words), "success_frame_count": count, "frame_count": FRAMES, "captions": said}
        return MetricResult(self.name, count / FRAMES, details)

    def _describe(self, frames: torch.Tensor) -> list[Described]:
        return self._network(normalise(frames.float(), IMAGENET_MEAN, IMAGENET_STD))


def scene_words(metric: str, auxiliary: Any) -> list[str] | None:
    """Return the words of the scene's name, nested once or more often as in VBench's files; ``None`` without one.

    Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for a blank name, which every caption would
    hold.
    """
    found = auxiliary
    while isinstance(found, Mapping):
        found = found.get("scene")
    if found is None:
        return None
    if not isinstance(found, str) or not found.strip():
        raise IncompatibleSampleError(
            f"{metric} needs the name of a scene in auxiliary_info['scene'], got {found!r}; give a text "
            'such as "alley"'
        )
    return found.split()


def captioned_rows(rows: Sequence[int], compat: Compat) -> list[int]:
    """Return whose caption counts for each of ``rows``: its own, or upstream's mix-up of beams and frames."""
    return [rows[i // BEAMS] for i in range(len(rows))] if compat == "upstream" else list(rows)


def successes(captions: Sequence[str], words: Sequence[str]) -> int:
    """Return how many captions contain every word, as upstream looks for them: anywhere, case kept."""
    return sum(all(word in caption for word in words) for caption in captions)
