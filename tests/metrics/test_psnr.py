from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.metrics.registry import get_metric
from tests.support.pixel_clips import pair, tensor

DATA = json.loads((Path(__file__).parents[1] / "data" / "common" / "psnr.json").read_text())
CASES = list(DATA["expected"])


@pytest.mark.parametrize("case", CASES)
def test_scores_match_the_reference(case):
    expected = DATA["expected"][case]
    result = get_metric("common.psnr").compute(pair(DATA, case))
    assert result.score == pytest.approx(expected["fastvideo_score"], abs=1e-4)
    assert result.details["per_frame"] == pytest.approx(expected["fastvideo_per_frame"], abs=1e-4)
    assert result.details["frames_scored"] == expected["frames_scored"]


@pytest.mark.parametrize("case", CASES)
def test_frames_are_exact(case):
    expected = [min(100.0, -10 * math.log10(max(m, 1e-10))) for m in DATA["expected"][case]["mse_per_frame_float64"]]
    result = get_metric("common.psnr").compute(pair(DATA, case))
    assert result.details["per_frame"] == pytest.approx(expected, abs=1e-12)


def test_the_score_is_not_the_db_of_the_mean_error():
    score = get_metric("common.psnr").compute(pair(DATA, "odd_size_20_frames")).score
    assert abs(score - DATA["expected"]["odd_size_20_frames"]["db_of_mean_mse"]) > 0.1


@pytest.mark.parametrize("size", [1, 3, 100])
def test_chunks_do_not_change_the_score(size):
    sample = pair(DATA, "odd_size_20_frames")
    assert get_metric("common.psnr", chunk_size=size).compute(sample) == get_metric("common.psnr").compute(sample)


@pytest.mark.parametrize("layout", ["planes", "pixels", "one_of_each", "sliced"])
def test_the_layout_in_memory_does_not_matter(layout):
    sample = pair(DATA, "odd_size_20_frames")
    planes = {key: frames.contiguous() for key, frames in sample.items()}
    pixels = {key: frames.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for key, frames in sample.items()}
    wide = {key: torch.nn.functional.pad(frames, (3, 4, 1, 2), value=9) for key, frames in sample.items()}
    sliced = {key: frames[..., 1:-2, 3:-4] for key, frames in wide.items()}
    mixed = {"video": planes["video"], "reference": pixels["reference"]}
    given = {"planes": planes, "pixels": pixels, "one_of_each": mixed, "sliced": sliced}[layout]
    assert get_metric("common.psnr").compute(given) == get_metric("common.psnr").compute(sample)


def test_both_lengths_are_reported():
    details = get_metric("common.psnr").compute(pair(DATA, "length_9_vs_6")).details
    assert (details["frames_generated"], details["frames_reference"], details["frames_scored"]) == (9, 6, 6)


def test_frames_of_another_size_are_refused():
    sample = {"video": tensor(np.zeros((2, 8, 12, 3))), "reference": tensor(np.zeros((2, 8, 10, 3)))}
    with pytest.raises(IncompatibleSampleError, match=r"12x8.*10x8"):
        get_metric("common.psnr").compute(sample)


def test_a_clip_without_frames_is_refused():
    sample = {"video": tensor(np.zeros((0, 8, 8, 3))), "reference": tensor(np.zeros((2, 8, 8, 3)))}
    with pytest.raises(IncompatibleSampleError, match="no frames"):
        get_metric("common.psnr").compute(sample)


def test_a_large_frame_does_not_overflow():
    black = torch.zeros((1, 3, 1200, 1600), dtype=torch.uint8)
    score = get_metric("common.psnr").compute({"video": black, "reference": black + 255}).score
    assert score == 0.0
