"""What VideoScore2 says about a clip: asked once for all metrics of the group."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.asked import AskedMetric, Attention, Dtype, check_computing
from pytest_vidmetrics.metrics.videoscore2.prompt import question, question_digest
from pytest_vidmetrics.metrics.videoscore2.reading import (
    DIGITS,
    DIMENSIONS,
    Fault,
    Lenient,
    Read,
    fastvideo,
    read,
    upstream,
)
from pytest_vidmetrics.metrics.videoscore2.soft import Digits
from pytest_vidmetrics.networks.published.qwen import VIDEOSCORE2

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.qwen.asking import Question, Said
    from pytest_vidmetrics.networks.qwen.frames import Chosen

Compat = Literal["upstream", "fixed", "fastvideo"]
MODEL = VIDEOSCORE2.source
_EXCERPT = 120


@dataclass(frozen=True)
class Scored:
    """One answer: what was said, and its three scores or why there are none."""

    said: Said
    read: Read | Fault

    def digits(self, dimension: int) -> Digits:
        """Return how likely the digits were at a score, by the network alone: before penalties and temperature."""
        assert isinstance(self.read, Read)
        step = self.said.steps[self.read.tokens[dimension]]
        return Digits.of(step.logits, step.logits_sum)

    def expectation(self, dimension: int) -> float:
        """Return the mean digit of one dimension; the digit itself where its neighbours have no weight at all."""
        assert isinstance(self.read, Read)
        found = self.digits(dimension).expectation
        return float(self.read.scores[dimension]) if found is None else found

    @property
    def score(self) -> float | None:
        """The mean of the three expectations."""
        if not isinstance(self.read, Read):
            return None
        return statistics.fmean(self.expectation(i) for i in range(len(DIMENSIONS)))


class AnsweredMetric(AskedMetric):
    """Base of the metrics that read the answers of VideoScore2; see :class:`.scores.VideoScore2` for the parameters."""

    published: ClassVar[Weights] = VIDEOSCORE2
    requires: ClassVar[tuple[str, ...]] = ("video", "text_prompt")
    reads: ClassVar[tuple[str, ...]] = ("fps",)
    requires_reference: ClassVar[bool] = False
    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    neutral: ClassVar[frozenset[str]] = frozenset({"max_missing"})

    def __init__(
        self,
        model_name: str = MODEL,
        infer_fps: float = 2.0,
        max_tokens: int = 1024,
        temperature: float = 0.7,
        do_sample: bool = False,
        seeds: int = 0,
        compat: Compat = "upstream",
        revision: str | None = None,
        dtype: Dtype = "bfloat16",
        attention: Attention = "sdpa",
        max_missing: float = 0.05,
    ) -> None:
        one_of("compat", compat, ("upstream", "fixed", "fastvideo"))
        check_computing(dtype, attention)
        if not infer_fps > 0:
            raise ValueError(f"infer_fps must be above 0, got {infer_fps!r}")
        if max_tokens < 1 or seeds < 0:
            raise ValueError(f"max_tokens must be at least 1 and seeds at least 0, got {max_tokens} and {seeds}")
        if not temperature > 0:
            raise ValueError(
                f"temperature must be above 0, got {temperature!r}; for the likeliest answer: do_sample = false"
            )
        if not 0 <= max_missing < 1:
            raise ValueError(f"max_missing is a share of the samples, at least 0 and below 1, got {max_missing!r}")
        self.model_name = model_name
        self.infer_fps = infer_fps
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.do_sample = do_sample
        self.seeds = seeds
        self.compat: Compat = compat
        self.revision = revision
        self.dtype = dtype
        self.attention = attention
        self.max_missing = max_missing

    def identity(self) -> dict[str, Any]:
        """Return the parameters, the digest of the question, and the rules for frames, time and tokens."""
        from pytest_vidmetrics.networks.qwen.asking import RECIPE

        protocol = {
            "question": question_digest(fastvideo=self.compat == "fastvideo"),
            "frames": "fastvideo" if self.compat == "fastvideo" else "qwen-vl-utils path rule",
            "time": "true rate" if self.compat == "fixed" else "as asked for",
            "recipe": RECIPE,
        }
        return {**super().identity(), "protocol": protocol}

    def _chosen(self, sample: Mapping[str, Any]) -> Chosen:
        from pytest_vidmetrics.networks.qwen import frames

        total, rate = len(sample["video"]), sample.get("fps")
        if self.compat == "fastvideo":
            return frames.fastvideo_rule(total, rate, self.infer_fps)
        if rate is None:
            raise IncompatibleSampleError(
                'the clip has no frame rate, as folders of images have none: give "fps" in the sample'
            )
        return frames.path_rule(total, float(rate), self.infer_fps)

    def _question(self, sample: Mapping[str, Any], chosen: Chosen) -> Question:
        from pytest_vidmetrics.networks.qwen import pixels
        from pytest_vidmetrics.networks.qwen.asking import Clip, Question

        rate = chosen.rate if self.compat == "fixed" and chosen.rate else self.infer_fps
        other = self.compat == "fastvideo"
        frames = sample["video"][list(chosen.indices)]
        shown = Clip(frames, route="fastvideo" if other else "path", seconds=pixels.PAIR / rate)
        return Question((shown, question(str(sample["text_prompt"]), fastvideo=other)))

    def answers(self, sample: Mapping[str, Any]) -> tuple[list[Scored], dict[str, Any]]:
        """Return the answers about one sample, one a replicate, and which frames they are about.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for a clip or prompt that cannot be asked
        about.
        """
        from pytest_vidmetrics.networks.qwen.asking import Choice

        chosen = self._chosen(sample)
        asked, asker = self._question(sample, chosen), self.asker()
        # No temperature is the likeliest answer; replicates are always drawn.
        temperature = self.temperature if self.do_sample or self.seeds else None
        found = []
        for replicate in range(max(1, self.seeds)):
            said = asker.ask(asked, Choice(self.max_tokens, temperature, replicate), DIGITS)
            found.append(Scored(said, read(said.pieces, ended=said.ended)))
        return found, {"frames": list(chosen.indices), "fps": chosen.rate}

    def lenient(self, scored: Scored) -> dict[str, Any]:
        """Return what the rules of the project named by ``compat`` make of an answer: its scores and soft scores."""
        rules = fastvideo if self.compat == "fastvideo" else upstream
        found: Lenient = rules(scored.said.pieces)
        softs = []
        for token in found.tokens:
            step = scored.said.steps.get(token)
            softs.append(None if step is None or found.scores is None else Digits.of(step.scores, step.scores_sum).soft)
        return {"hard": None if found.scores is None else list(found.scores), "soft": softs}


def failure(scored: list[Scored]) -> Fault | None:
    """Return why a clip has no score: the commonest fault where half of its answers or more cannot be read."""
    faults = [one.read for one in scored if not isinstance(one.read, Read)]
    return statistics.mode(sorted(faults)) if 2 * len(faults) >= len(scored) and faults else None


def explained(fault: Fault, scored: list[Scored]) -> str:
    """Return a sentence about answers that cannot be read, safe for a terminal: what they say is escaped."""
    first = next(one.said for one in scored if one.read == fault)
    what = {
        "unparsed": "the answer does not have the three lines that were asked for",
        "out_of_range": "the answer gives a score that is not 1 to 5",
        "truncated": f"the answer did not end within {len(first.pieces)} tokens",
    }[fault]
    of = (
        f" ({sum(not isinstance(one.read, Read) for one in scored)} of {len(scored)} answers)"
        if len(scored) > 1
        else ""
    )
    return f"{fault}: {what}{of}; it ends with {first.text[-_EXCERPT:]!r}"
