"""The static filter of temporal flickering, on flows that are known."""

from __future__ import annotations

import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.vbench.static_filter import is_static, pair_motion
from pytest_vidmetrics.networks.flow import memory as correlation

SIZE = 128
LIMIT = 3.0 * SIZE / 256


class Shifts:
    """A network whose flow is the difference of the frames' grey levels, everywhere; counts its pairs."""

    def __init__(self) -> None:
        self.pairs = 0

    def __call__(self, frames: torch.Tensor) -> tuple[torch.Tensor, tuple[object, ...]]:
        levels = frames[:, 0, 0, 0].float() / 10
        flow = torch.zeros(len(frames) - 1, 2, SIZE, SIZE)
        flow[:, 0] = (levels[1:] - levels[:-1])[:, None, None]
        self.pairs += len(flow)
        return flow, (...,)


def clip(*levels: int) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, SIZE, SIZE).contiguous()


def test_as_many_moving_pairs_as_an_eighth_of_the_frames_are_allowed() -> None:
    jump = round(LIMIT * 10) + 1
    still = [100] * 16
    one, three = still.copy(), still.copy()
    one[8] += jump  # there and back: two pairs
    three[4] += jump
    three[8] += jump
    assert is_static(clip(*still), Shifts(), 4)
    assert is_static(clip(*one), Shifts(), 4)
    assert not is_static(clip(*three), Shifts(), 4)


def test_a_slow_drift_is_found_between_the_first_and_the_last_frame() -> None:
    far = 2 * 2 * LIMIT * 10  # limit times twice the two pairs that 16 frames allow
    below, above = (torch.linspace(0, end, 16).round().int().tolist() for end in (far - 1, far + 1))
    assert is_static(clip(*below), Shifts(), 4)
    assert not is_static(clip(*above), Shifts(), 4)


def test_two_frames_must_not_move_at_all() -> None:
    assert is_static(clip(5, 5), Shifts(), 4)
    assert not is_static(clip(5, 6), Shifts(), 4)


def test_the_largest_two_percent_decide() -> None:
    def spot(frames: torch.Tensor) -> tuple[torch.Tensor, tuple[object, ...]]:
        flow = torch.zeros(1, 2, 100, 100)
        flow[0, 1, :10, :20] = torch.arange(1.0, 201.0).reshape(10, 20)
        return flow, (...,)

    assert list(pair_motion(clip(0, 0), spot, 1)) == [pytest.approx(100.5)]


@pytest.mark.parametrize("chunk_size", [1, 3, 50])
def test_batches_do_not_change_it_and_a_decided_clip_is_left(chunk_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "PAIRS_ON_PROCESSOR", 50)
    network = Shifts()
    levels = [0, 200] * 8
    assert not is_static(clip(*levels), network, chunk_size)
    assert network.pairs == (3 if chunk_size < 4 else 15)


def test_small_frames_are_refused() -> None:
    with pytest.raises(IncompatibleSampleError, match="at least 121 pixels a side, got 64 x 128"):
        is_static(torch.zeros(2, 3, 64, 128, dtype=torch.uint8), Shifts(), 4)


def scored(static: str, prompt: str = "a lake") -> dict[str, MetricResult]:
    name = "vbench.temporal_flickering"
    return {
        f"{prompt}-{index:02}": MetricResult(name, 0.9 + index / 100, {"static": mark == "s", "text_prompt": prompt})
        for index, mark in enumerate(static)
    }


def test_the_first_five_static_clips_of_a_prompt_count() -> None:
    metric = registry.get_metric("vbench.temporal_flickering", static_filter=True)
    results = scored("msssmsss")
    assert list(metric.counted(results)) == [f"a lake-{index:02}" for index in (1, 2, 3, 5, 6)]
    assert metric.corpus_score(results) == pytest.approx(0.9 + (1 + 2 + 3 + 5 + 6) / 500)
    assert metric.remarks(results) == ()


def test_prompts_with_too_few_are_named_and_none_at_all_is_no_score() -> None:
    metric = registry.get_metric("vbench.temporal_flickering", static_filter=True)
    results = {**scored("sss"), **scored("mm", "a fire")}
    assert metric.remarks(results) == ("2 prompts have fewer than 5 static clips: 'a fire' (0), 'a lake' (3)",)
    assert metric.corpus_score(scored("mm")) is None


def test_without_the_filter_every_clip_counts_and_no_prompt_is_needed() -> None:
    metric = registry.get_metric("vbench.temporal_flickering")
    assert metric.required_keys() == ("video",)
    assert metric.weights_files() == ()
    assert metric.corpus_score({"a": MetricResult(metric.name, 0.5)}) == 0.5
    filtered = registry.get_metric("vbench.temporal_flickering", static_filter=True)
    assert filtered.required_keys() == ("video", "text_prompt")
    assert [one.name for one in filtered.weights_files()] == ["raft-things.pth"]
    assert filtered.identity() != metric.identity()


def test_the_metric_says_of_each_clip_whether_it_is_static(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = registry.get_metric("vbench.temporal_flickering", static_filter=True)
    monkeypatch.setattr(metric, "_forward", Shifts)
    found = [metric.compute({"video": clip(*levels), "text_prompt": "p"}) for levels in ([9] * 8, [9, 200] * 4)]
    assert [one.details["static"] for one in found] == [True, False]
    assert found[0].score == 1.0
