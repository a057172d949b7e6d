"""VideoScore2: quality, alignment with the prompt, and physical plausibility, judged by a video-language model."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.videoscore2.answers import AnsweredMetric, Scored, explained, failure
from pytest_vidmetrics.metrics.videoscore2.reading import DIMENSIONS, Read
from pytest_vidmetrics.metrics.videoscore2.soft import Digits

_ENOUGH_MASS = 0.9


@register("videoscore2")
class VideoScore2(AnsweredMetric):
    """Mean of three scores from 1 to 5 that VideoScore2 (Qwen2.5-VL-7B, arXiv 2509.22799) gives; higher is better.

    Per dimension the score is the *expectation*: the mean of the digits 1 to 5, weighted by how likely the network
    finds each at the place of the score (before penalties and temperature). An answer without three scores from 1 to 5
    in the asked form, or without an end within ``max_tokens``, is a missing sample with that reason, never a number;
    up to a share of ``max_missing`` the others have a score. Gate ``videoscore2.failures`` beside it.

    ``model_name`` is a repository or a folder, ``infer_fps`` how many frames a second are asked for. Answers are the
    likeliest (greedy, one clip at a time) unless ``do_sample`` draws them at ``temperature``; ``seeds = N`` draws N
    answers a clip, which are averaged first and never counted as samples. ``compat="upstream"``: frames, sizes and
    prompt of ``vs2_inference.py``, and its time positions, which stand for ``infer_fps`` whatever the clip's rate.
    ``"fixed"``: the same with the true times. ``"fastvideo"``: FastVideo's frames, three resizes and prompt.

    Details, per dimension: ``hard`` (the digit of the answer), ``expectation``, ``soft`` (upstream's
    ``ll_based_soft_score_normed`` at that digit, on logits after penalty and temperature), ``digit_mass`` and
    ``likeliest``; ``answer``, and under the name of the project what its own rules read (``hard``, ``soft``), which may
    be other digits; ``made``, ``shown``, ``settings``, ``chosen``, ``gap``. With ``seeds``: ``replicates`` and
    ``within_clip_sd``.

    Deviations from upstream: the expectation instead of the soft score, bfloat16, greedy, and reading behind the last
    ``</think>``. Positions behind clips of more than about 60 frames are those of transformers 4.53, which upstream
    pins. Source: TIGER-AI-Lab/VideoScore2 @e6abe26; parameters of FastVideo.
    """

    unit: ClassVar[str] = "1 to 5"
    value_range: ClassVar[tuple[float, float] | None] = (1.0, 5.0)
    noise_source: ClassVar[str] = (
        "greedy answers of one machine are equal; another GPU moved a clip from 3.67 to 3.33: record a cohort for each"
    )

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip."""
        if not str(sample.get("text_prompt") or "").strip():
            return self._skip(sample, "text_prompt is empty: there is nothing to be in line with")
        scored, chosen = self.answers(sample)
        facts: dict[str, Any] = {
            "made": dict(scored[0].said.made),
            "chosen": chosen,
            "shown": dict(scored[0].said.shown),
        }
        if fault := failure(scored):
            texts = [one.said.text for one in scored]
            details = {**facts, "fault": fault, "answers": texts}
            return MetricResult.unanswered(self.name, explained(fault, scored), details)
        good = [one for one in scored if isinstance(one.read, Read)]
        scores = [score for one in good if (score := one.score) is not None]
        details = {**_dimensions(good), **facts, "settings": dict(good[0].said.settings), "gap": good[0].said.gap}
        details |= {"answer": good[0].said.text, self._project(): self.lenient(good[0])}
        if self.seeds:
            details["replicates"] = [_replicate(one) for one in scored]
            details["within_clip_sd"] = statistics.stdev(scores) if len(scores) > 1 else None
        return MetricResult(self.name, statistics.fmean(scores), details)

    def _project(self) -> str:
        return "fastvideo" if self.compat == "fastvideo" else "upstream"

    def corpus_details(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        """Return the mean expectation of each dimension and how often each digit was given."""
        rows = [result.details for result in results.values()]
        found: dict[str, Any] = {}
        for name in DIMENSIONS:
            digits = [row[name]["hard"] for row in rows]
            mean = statistics.fmean(row[name]["expectation"] for row in rows)
            found[name] = {"expectation": mean, "hard": {str(k): digits.count(k) for k in range(1, 6)}}
        if self.seeds > 1:
            spreads = [row["within_clip_sd"] for row in rows if row["within_clip_sd"] is not None]
            found["within_clip_sd"] = statistics.fmean(spreads) if spreads else None
        return found

    def remarks(self, results: Mapping[str, MetricResult]) -> tuple[str, ...]:
        """Name clips whose digits say little, and answers in which another digit was likelier than the one given."""
        rows = [result.details for result in results.values()]
        thin = sum(any(row[name]["digit_mass"] < _ENOUGH_MASS for name in DIMENSIONS) for row in rows)
        other = sum(any(row[name]["likeliest"] != row[name]["hard"] for name in DIMENSIONS) for row in rows)
        lost = sum("fault" in one for row in rows for one in row.get("replicates", ()))
        said = []
        if thin:
            said.append(f"{thin} of {len(rows)} clips: the digits 1 to 5 have less than {_ENOUGH_MASS} of the weight")
        if other:
            said.append(f"{other} of {len(rows)} clips: another digit is likelier than the one in the answer")
        if lost:
            said.append(f"{lost} of {self.seeds * len(rows)} drawn answers could not be read")
        return tuple(said)


def _dimensions(good: list[Scored]) -> dict[str, Any]:
    """Return what is known of each dimension: of the first answer, and the mean of the expectations."""
    found = {}
    for i, name in enumerate(DIMENSIONS):
        first = good[0]
        assert isinstance(first.read, Read)
        step, digits = first.said.steps[first.read.tokens[i]], first.digits(i)
        found[name] = {
            "hard": first.read.scores[i],
            "expectation": statistics.fmean(one.expectation(i) for one in good),
            "soft": Digits.of(step.scores, step.scores_sum).soft,
            "digit_mass": digits.mass,
            "likeliest": digits.best,
        }
    return found


def _replicate(scored: Scored) -> dict[str, Any]:
    if not isinstance(scored.read, Read):
        return {"fault": scored.read, "answer": scored.said.text}
    return {"score": scored.score, "hard": list(scored.read.scores), "answer": scored.said.text}
