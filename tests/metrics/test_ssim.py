from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def exact_ssim(a: np.ndarray, b: np.ndarray, padding: int) -> float:
    """The mean index of two ``(H, W)`` planes: float64, and variances as means of squared distances."""
    steps = np.arange(11) - 5.0
    taps = np.exp(-(steps**2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    x, y = (np.lib.stride_tricks.sliding_window_view(np.pad(p / 255.0, padding), (11, 11)) for p in (a, b))
    mx, my = (np.einsum("ijkl,kl->ij", p, window) for p in (x, y))
    dx, dy = x - mx[..., None, None], y - my[..., None, None]
    vx, vy, cov = (np.einsum("ijkl,kl->ij", p, window) for p in (dx * dx, dy * dy, dx * dy))
    c1, c2 = 0.01**2, 0.03**2
    index = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(index.mean())


@st.composite
def frames(draw: st.DrawFn) -> np.ndarray:
    """``(H, W, 3)``: flat at a level of either half, with a little noise or none."""
    height, width = draw(st.integers(11, 60)), draw(st.integers(11, 90))
    cut, levels = draw(st.integers(0, width)), (draw(st.integers(0, 255)), draw(st.integers(250, 255)))
    rng, spread = np.random.default_rng(draw(st.integers(0, 99))), draw(st.sampled_from([0, 1, 3, 80]))
    flat = np.where(np.arange(width) < cut, *levels)[None, :, None]
    return np.clip(flat + rng.integers(-spread, spread + 1, (height, width, 3)), 0, 255).astype(np.uint8)


@given(frames(), st.sampled_from(["valid", "zero_padded"]), st.integers(0, 3), st.data())
@settings(deadline=None, max_examples=40)
def test_the_noise_floor_holds_on_flat_and_bright_frames(first, window, distance, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    second = np.clip(first.astype(int) - rng.integers(0, distance + 1, first.shape), 0, 255).astype(np.uint8)
    metric = get_metric("common.ssim", window=window)
    found = metric.compute({"video": tensor(first[None]), "reference": tensor(second[None])}).score
    planes = [(first[..., c], second[..., c]) for c in range(3)]
    exact = np.mean([exact_ssim(a, b, 5 if window == "zero_padded" else 0) for a, b in planes])
    assert found == pytest.approx(exact, abs=metric.noise_floor)
    assert -1 <= found <= 1


@pytest.mark.parametrize("window", ["valid", "zero_padded"])
@pytest.mark.parametrize("size", [(20, 30), (64, 300)])
def test_white_against_almost_white_stays_in_range(size, window):
    white = np.full((1, *size, 3), 255)
    score = get_metric("common.ssim", window=window).compute({"video": tensor(white), "reference": tensor(white - 1)})
    assert score.score < 1
    same = get_metric("common.ssim", window=window).compute({"video": tensor(white), "reference": tensor(white)})
    assert same.score == 1


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
