"""Clips beside the numbers: which differences are errors, which are allowed, and what is never an improvement."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_vidmetrics.core.clips import ClipFacts, differences
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.engine.likeness import remarks
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.baseline_text import baseline_text, decode_baseline
from pytest_vidmetrics.gates.judge import judge
from tests.support.baselines import OWNER

FULL = ClipFacts(24, 64, 48, 24.0, 1.0)
KINDS = ("frames", "rate", "size", "duration")


def seen(score: float, *, reference: ClipFacts | None = None, **clips: ClipFacts) -> CorpusScore:
    return CorpusScore(
        metric={"name": "m", "version": "1", "params": {}},
        higher_is_better=True,
        score=score,
        samples=dict.fromkeys(clips, score),
        paths=dict.fromkeys(clips, ""),
        sample_ids="ids",
        reference=None,
        is_mean=True,
        clips=clips,
        reference_clips=dict.fromkeys(clips, reference) if reference is not None else {},
        compares=KINDS,
    )


def verdict(now: CorpusScore, was: CorpusScore, **policy: object):
    config = MetricConfig("m", "m", policy=Policy(abs=0.1, **policy))
    return judge(config, now, Baseline.of(was, OWNER))


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        (FULL, []),
        (replace(FULL, frames=3, seconds=0.125), ["frames"]),
        (replace(FULL, fps=12.0, seconds=2.0), ["rate"]),
        (replace(FULL, frames=12, fps=12.0), ["frames", "rate"]),
        (replace(FULL, fps=23.976, seconds=1.001), []),
        (replace(FULL, fps=None, seconds=None), []),
        (replace(FULL, width=48, height=64), ["size"]),
        (replace(FULL, seconds=1.5), ["duration"]),
        (replace(FULL, constant="black", copied=True), []),
    ],
)
def test_in_what_clips_differ(other: ClipFacts, kinds: list[str]) -> None:
    assert list(differences(FULL, other)) == kinds
    assert list(differences(other, FULL)) == kinds


@pytest.mark.parametrize(
    ("kind", "other", "text"),
    [
        ("frames", replace(FULL, frames=3, seconds=0.125), "a: 3 frames, {} 24 frames"),
        ("rate", replace(FULL, fps=12.0, seconds=2.0), "a: 12 fps, {} 24 fps"),
        ("size", replace(FULL, width=32), "a: 32x48, {} 64x48"),
        ("duration", replace(FULL, seconds=1.5), "a: 1.5 s, {} 1 s"),
    ],
)
@pytest.mark.parametrize("side", ["reference", "baseline"])
def test_a_difference_is_an_error_with_both_values_or_is_allowed(
    kind: str, other: ClipFacts, text: str, side: str
) -> None:
    reference = FULL if side == "reference" else None
    was = seen(0.5, a=other if reference else FULL, b=FULL)
    for score in (0.2, 0.5, 0.9):
        found = verdict(seen(score, reference=reference, a=other, b=FULL), was)
        assert found.status == "ERROR"
        assert found.reason.startswith("1 of 2 clips cannot be compared")
        assert text.format("its reference" if reference else "in the baseline") in found.reason
        assert f'allow = ["{kind}"]' in found.reason
        assert not any(note.startswith("allow = ") for note in found.notes)
    for score, status in ((0.2, "REGRESSED"), (0.5, "PASS"), (0.9, "PASS")):
        found = verdict(seen(score, reference=reference, a=other, b=FULL), was, allow=(kind,))
        assert found.status == status
        assert any(note.startswith(f'allow = ["{kind}"]: ') for note in found.notes)


def test_metrics_that_compare_no_pairs_do_not_mind_their_references() -> None:
    now = replace(seen(0.5, reference=replace(FULL, frames=3), a=FULL), compares=())
    assert verdict(now, seen(0.5, a=FULL)).status == "PASS"


@pytest.mark.parametrize("how", ["black", "frozen"])
@pytest.mark.parametrize("side", ["reference", "baseline"])
def test_a_constant_clip_is_no_improvement(how: str, side: str) -> None:
    still = replace(FULL, constant=how)
    was = seen(0.5, a=FULL if side == "baseline" else still, b=FULL)
    for score, status in ((0.2, "REGRESSED"), (0.5, "PASS"), (0.9, "ERROR")):
        now = seen(score, reference=FULL if side == "reference" else None, a=still, b=FULL)
        found = verdict(now, was)
        assert found.status == status
        told = [*found.notes, *remarks(now.clips, now.reference_clips)]
        assert any(f"1 clip is {how}" in note and note.endswith(": a") for note in told)
    assert "a is " + how in found.reason


def test_a_constant_clip_of_a_constant_reference_and_baseline_is_as_good_as_any() -> None:
    still = replace(FULL, constant="frozen")
    assert verdict(seen(0.9, reference=still, a=still), seen(0.5, a=still)).status == "IMPROVED"
    assert remarks({"a": still}, {"a": still}) == ()


def test_a_baseline_keeps_what_its_clips_are() -> None:
    still = replace(FULL, constant="black", fps=None, seconds=None)
    recorded = Baseline.of(seen(0.5, reference=FULL, a=still, b=FULL), OWNER)
    found = decode_baseline(baseline_text(recorded).encode(), "b.json")
    assert found.scores.clips == {"a": still, "b": FULL}
    assert found.scores.reference_clips == {"a": FULL, "b": FULL}


def test_a_baseline_that_does_not_know_its_clips_says_so() -> None:
    found = verdict(seen(0.5, a=FULL), replace(seen(0.5, a=FULL), clips={}))
    assert found.status == "PASS"
    assert any("does not say what its clips were" in note for note in found.notes)
