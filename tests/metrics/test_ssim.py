from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.metrics.registry import get_metric
from tests.support.pixel_clips import pair, tensor

DATA = json.loads((Path(__file__).parents[1] / "data" / "common" / "ssim.json").read_text())
VARIANTS = {
    "valid_window_rgb": {},
    "valid_window_luma": {"channels": "luma"},
    "fastvideo_zero_padded": {"window": "zero_padded"},
}


RECORDED = [(v, case) for v in VARIANTS for case, value in DATA["expected"].items() if f"{v}_per_frame" in value]


@pytest.mark.parametrize(("variant", "case"), RECORDED)
def test_scores_match_the_reference(case, variant):
    expected = DATA["expected"][case]
    # FastVideo's own float32 values are up to 1e-5 away from its float64 ones.
    tolerance = DATA["tolerance"]["float32_abs"] if variant == "fastvideo_zero_padded" else 2e-6
    result = get_metric("common.ssim", **VARIANTS[variant]).compute(pair(DATA, case))
    assert result.score == pytest.approx(expected[f"{variant}_score"], abs=tolerance)
    assert result.details["per_frame"] == pytest.approx(expected[f"{variant}_per_frame"], abs=tolerance)
    assert result.details["frames_scored"] == expected["frames_scored"]


def test_the_float32_drift_is_below_the_noise_floor():
    metric = get_metric("common.ssim", window="zero_padded")
    for case, expected in DATA["expected"].items():
        per_frame = metric.compute(pair(DATA, case)).details["per_frame"]
        assert per_frame == pytest.approx(expected["zero_padded_float64_per_frame"], abs=metric.noise_floor)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_chunks_do_not_change_the_score(size):
    sample = pair(DATA, "odd_size_20_frames")
    score = get_metric("common.ssim", chunk_size=size).compute(sample).score
    assert score == pytest.approx(get_metric("common.ssim").compute(sample).score, abs=1e-7)


def test_a_frame_smaller_than_the_window_is_refused():
    with pytest.raises(IncompatibleSampleError, match=r"9x7.*11x11"):
        get_metric("common.ssim").compute(pair(DATA, "smaller_than_window"))


def test_frames_of_another_size_are_refused():
    sample = {"video": tensor(np.zeros((2, 16, 20, 3))), "reference": tensor(np.zeros((2, 16, 24, 3)))}
    with pytest.raises(IncompatibleSampleError, match=r"20x16.*24x16"):
        get_metric("common.ssim").compute(sample)


@pytest.mark.parametrize("params", [{"window": "same"}, {"channels": "yuv"}])
def test_unknown_variants_are_refused(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        get_metric("common.ssim", **params)


def test_black_borders_count_as_agreement_only_with_zero_padding():
    sample = pair(DATA, "two_clips")
    padded = get_metric("common.ssim", window="zero_padded").compute(sample).score
    assert padded > get_metric("common.ssim").compute(sample).score + 0.03
