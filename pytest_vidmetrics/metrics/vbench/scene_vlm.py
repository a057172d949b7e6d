"""FastVideo's variant of VBench scene: one caption of the whole clip by a video-language model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.asked import AskedMetric, Attention, Dtype, check_computing
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.scene import scene_words
from pytest_vidmetrics.networks.published.qwen import AVOCADO

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.qwen.asking import Said

Compat = Literal["fixed", "fastvideo"]

MODEL = AVOCADO.source
SYSTEM = (
    "You are Qwen, a virtual human developed by the Qwen Team, Alibaba Group, capable of perceiving auditory and "
    "visual inputs."
)
QUESTION = (
    "Describe the visual scene in this video, including the location, environment, objects, and overall setting. "
    "Be specific and use concrete descriptive words."
)
"""What FastVideo (Apache-2.0) asks, word for word."""
FPS = 2.0
FASTVIDEO_RATE = 8.0
"""The rate that FastVideo gives every clip when it writes it to a file again."""
_TURN = "\nassistant\n"
_SIGN = re.compile(r"<\|\w+\|>")
_WORD = re.compile(r"\w+")


@register("vbench.scene_vlm")
class SceneVlm(AskedMetric, VBenchMetric):
    """1 when AVoCaDO's caption of the clip names the scene that the prompt asks for, else 0.

    The scene is ``auxiliary_info["scene"]``; a sample without one is skipped, a blank one is an error. The caption is
    the likeliest one (greedy), made once and kept in the store; sound is not heard.

    ``compat="fixed"``: every word of the scene's name is a whole word of the caption, whatever its case; other forms
    of a word ("beaches", "theatre") do not count. ``"fastvideo"``: every word is part of the caption ("bar" in
    "barn"), and the clip is taken to have 8 frames a second, as FastVideo writes it to a file again (which is not done
    here). ``model_name`` is a repository or a folder.

    Neither comparable with ``vbench.scene``, which counts captions of frames, nor part of VBench's totals.
    Details: ``scene``, ``caption``, ``missing`` (words), ``truncated`` (the caption did not end within
    ``max_tokens``), ``made``, ``chosen``, ``shown``.
    Source: FastVideo @2f3d4074 ``vbench.scene``; AVoCaDO (a Qwen2.5-Omni-7B).
    """

    published: ClassVar[Weights] = AVOCADO
    dimension: ClassVar[str] = "scene"
    by_name_only: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("video", "auxiliary_info")
    reads: ClassVar[tuple[str, ...]] = ("fps",)
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    binary: ClassVar[bool] = True
    noise_source: ClassVar[str] = "greedy captions of one machine are equal; one kind of GPU to another: not measured"

    def __init__(
        self,
        model_name: str = MODEL,
        max_tokens: int = 512,
        compat: Compat = "fixed",
        revision: str | None = None,
        dtype: Dtype = "bfloat16",
        attention: Attention = "sdpa",
    ) -> None:
        one_of("compat", compat, ("fixed", "fastvideo"))
        check_computing(dtype, attention)
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
        self.model_name = model_name
        self.max_tokens = max_tokens
        self.compat: Compat = compat
        self.revision = revision
        self.dtype = dtype
        self.attention = attention

    def identity(self) -> dict[str, Any]:
        """Return the parameters, the digest of the question, and the version of what turns a clip into an answer."""
        from pytest_vidmetrics.networks.qwen.asking import RECIPE

        protocol = {"question": digest_json([SYSTEM, QUESTION])[:16], "recipe": RECIPE}
        return {**super().identity(), "protocol": protocol}

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip."""
        words = scene_words(self.name, sample["auxiliary_info"])
        if words is None:
            return self._skip(sample, "auxiliary_info has no scene under 'scene'")
        said, chosen = self._caption(sample)
        caption = caption_of(said.text)
        absent = missing(caption, words, self.compat)
        details = {
            "scene": " ".join(words),
            "caption": caption,
            "missing": absent,
            "truncated": not said.ended,
            "made": dict(said.made),
            "chosen": chosen,
            "shown": dict(said.shown),
        }
        return MetricResult(self.name, float(not absent), details)

    def _caption(self, sample: Mapping[str, Any]) -> tuple[Said, dict[str, Any]]:
        from pytest_vidmetrics.networks.qwen import frames, sizes
        from pytest_vidmetrics.networks.qwen.asking import Choice, Clip, Question

        video = self.clip(sample)
        rate = FASTVIDEO_RATE if self.compat == "fastvideo" else sample.get("fps")
        if rate is None:
            raise IncompatibleSampleError(
                'the clip has no frame rate, as folders of images have none: give "fps" in the sample'
            )
        chosen = frames.path_rule(len(video), float(rate), FPS)
        shown = Clip(video[list(chosen.indices)], most=sizes.AVOCADO_MOST)
        asked = Question((shown, QUESTION), SYSTEM)
        return self.asker().ask(asked, Choice(self.max_tokens)), {"frames": list(chosen.indices), "fps": chosen.rate}

    def remarks(self, results: Mapping[str, MetricResult]) -> tuple[str, ...]:
        """Say how many captions were cut."""
        cut = sum(bool(result.details["truncated"]) for result in results.values())
        return (f"{cut} of {len(results)} captions did not end within {self.max_tokens} tokens",) if cut else ()


def caption_of(said: str) -> str:
    """Return the caption in what the network said: the last turn, without signs that are not words."""
    return _SIGN.sub("", said).rpartition(_TURN)[2]


def missing(caption: str, words: Sequence[str], compat: Compat) -> list[str]:
    """Return which words of a scene's name a caption lacks."""
    if compat == "fastvideo":
        return [word for word in words if word.lower() not in caption.lower()]
    said = set(_WORD.findall(_plain(caption)))
    # A "word" of signs alone is never said.
    return [word for word in words if not set(_WORD.findall(_plain(word))) <= said or not _WORD.search(word)]


def _plain(text: str) -> str:
    """Return text in one spelling of its letters, without case."""
    # Folding the case may take composed letters apart.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
