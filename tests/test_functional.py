from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch

from pytest_vidmetrics import functional
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.stats.moments import Moments, frechet_of


def test_the_examples_are_true() -> None:
    failed, tried = doctest.testmod(functional, optionflags=doctest.ELLIPSIS)
    assert (failed, tried > 8) == (0, True)


@pytest.mark.parametrize("floating", [False, True])
def test_the_functions_are_the_metrics_bit_for_bit(floating: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    video, reference = (torch.randint(0, 256, (3, 3, 24, 24), dtype=torch.uint8, generator=generator) for _ in "ab")
    if floating:
        video, reference = video / 255, reference / 255
    names = ["common.psnr", "common.ssim", "vbench.temporal_flickering"]
    found = Evaluator(names, "cpu").evaluate(video=video, reference=reference)
    assert functional.psnr(video, reference) == found["common.psnr"].details["per_frame"]
    assert functional.ssim(video, reference) == found["common.ssim"].details["per_frame"]
    assert functional.temporal_flickering(video) == found["vbench.temporal_flickering"].score


def test_the_frechet_distance_is_that_of_merged_moments() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 60, 5))
    merged = frechet_of(Moments.of(a), Moments.of(b)).distance
    assert functional.frechet_distance(a.tolist(), b) == pytest.approx(merged, abs=1e-9)


def test_what_is_not_a_clip_or_a_pair_is_refused() -> None:
    clip = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(ValueError, match="without a batch dimension"):
        functional.psnr(clip[None], clip[None])
    with pytest.raises(IncompatibleSampleError, match="16x16"):
        functional.ssim(clip, torch.zeros(2, 3, 20, 20, dtype=torch.uint8))
    with pytest.raises(IncompatibleSampleError):
        functional.temporal_flickering(clip[:1])
    with pytest.raises(ValueError, match="finite"):
        functional.frechet_distance([[0.0, np.nan], [1.0, 2.0]], np.zeros((3, 2)))
