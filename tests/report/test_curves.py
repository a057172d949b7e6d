"""Which frame each value of a list belongs to."""

from __future__ import annotations

import pytest

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.report.curves import curves_of

MIDDLE = FrameRequest(16, "middle")


def frames(details: dict[str, object], count: int, *request: FrameRequest) -> list[tuple[int, ...]]:
    return [one.frames for one in curves_of(0, details, count, *request)]


@pytest.mark.parametrize("count", [16, 17, 33, 81])
def test_values_of_picked_frames_belong_to_those(count: int) -> None:
    (shown,) = frames({"frame_results": [1.0] * 16}, count, MIDDLE)
    assert shown == tuple(MIDDLE.indices(count))
    # Without knowing that, 16 values of a clip of 17 frames would be read as those of its pairs.
    assert (shown == tuple(range(1, 17))) is False


def test_a_clip_too_short_for_the_picked_frames_has_a_value_for_each_of_its_own() -> None:
    (curve,) = curves_of(0, {"frame_results": [float(i) for i in range(16)]}, 9, MIDDLE)
    assert (curve.frames, curve.values) == (tuple(range(9)), tuple(float(i) for i in range(9)))


def test_pairs_that_are_some_frames_apart_end_with_the_one_that_decides() -> None:
    assert frames({"pair_scores": [1.0, 2.0, 3.0], "step": 2}, 24) == [(2, 4, 6)]
    assert frames({"pair_scores": [1.0, 2.0, 3.0]}, 24) == [], "an entry of before the step was kept"
    assert frames({"pair_scores": [1.0] * 13, "step": 2}, 24) == [], "of a longer clip"


def test_a_table_a_frame_gives_the_number_that_the_score_is_the_mean_of() -> None:
    table = [{"pixel_epe_mean": float(i), "angle": 1.0} for i in range(5)]
    (curve,) = curves_of(0, {"per_frame_metrics": table}, 6)
    assert (curve.name, curve.frames, curve.values) == ("pixel epe mean", (1, 2, 3, 4, 5), (0.0, 1.0, 2.0, 3.0, 4.0))
    assert curves_of(0, {"per_frame_metrics": ["no", "table"]}, 3) == []


def test_lists_of_other_lengths_are_no_curves() -> None:
    assert frames({"layers": [1.0] * 9, "one": [1.0], "words": ["a"] * 6}, 6) == []
