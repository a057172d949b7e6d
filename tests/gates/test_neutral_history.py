"""Default margins on the history of two models' renders: neutral ones pass, the day when all clips changed does not.

``tests/data/common/ssim_history.json`` holds what this package scored of the reference videos in the history of
hao-ai-lab/FastVideo (Wan2.1-T2V-1.3B "hiker", Wan2.1-I2V-14B "astronaut"), each against the first render of its
prompt; ssim of every fifteenth frame. Until 14 April they differ by date and attention back end alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.metrics import registry
from tests.gates.test_margin import recorded, scores

HISTORY = json.loads((Path(__file__).parents[1] / "data" / "common" / "ssim_history.json").read_text())
METRICS = ("common.psnr", "common.ssim", "vbench.temporal_flickering")


def _judged(metric: str, before: str, after: str, clips: tuple[str, ...] = ("hiker", "astronaut")) -> Verdict:
    cls = registry.metric_class(metric)
    was, now = (
        scores([HISTORY[day][clip][metric] for clip in clips], neutral_shift=cls.neutral_shift)
        for day in (before, after)
    )
    return judge(MetricConfig(metric, metric, {}, Policy()), now, recorded(was, Policy()))


NEUTRAL = ("2025-04-14_FLASH", "2025-04-14_SDPA")
CHANGED = ("2025-04-17_FLASH", "2025-04-17_SDPA")


@pytest.mark.parametrize("metric", METRICS)
def test_neutral_renders_pass_whichever_was_recorded(metric: str) -> None:
    for before in NEUTRAL:
        for after in NEUTRAL:
            verdict = _judged(metric, before, after)
            assert verdict.passed, (before, after, verdict.reason)
            assert "neutral changes at n = 2" in verdict.margin_from


@pytest.mark.parametrize("before", NEUTRAL)
@pytest.mark.parametrize("after", CHANGED)
def test_the_step_on_which_both_clips_changed_fails(before: str, after: str) -> None:
    verdict = _judged("common.ssim", before, after)
    assert verdict.status == "REGRESSED"
    assert verdict.harm == pytest.approx(0.037, abs=0.008)
    # A single clip may move so far by itself: the largest shift was measured across this step.
    assert _judged("common.ssim", before, after, ("hiker",)).passed


@pytest.mark.parametrize("back", CHANGED)
def test_after_the_step_the_renders_are_neutral_again(back: str) -> None:
    for metric in METRICS:
        for before in CHANGED:
            assert _judged(metric, before, back).passed
