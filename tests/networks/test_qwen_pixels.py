"""Pixels and patches against recorded values, and against the classes of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pytest_vidmetrics.networks.qwen import frames, pixels
from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD
from tests.support.qwen import frames_of, recorded

CASES = recorded("qwen_pixels")["expected"]["cases"]


def _samples(values: torch.Tensor) -> npt.NDArray[Any]:
    flat = values.numpy().reshape(-1)
    return flat[np.linspace(0, flat.size - 1, 48).astype(np.int64)]


@pytest.mark.parametrize("route", ["path", "fastvideo"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['frames']}x{case['h']}x{case['w']}")
def test_pixels_are_the_recorded_ones(case: dict[str, Any], route: str) -> None:
    wanted, clip = case[route], frames_of(case)
    if route == "path":
        chosen = frames.path_rule(case["frames"], case["fps"])
        resized = pixels.clip_frames(clip[list(chosen.indices)])
    else:
        chosen = frames.fastvideo_rule(case["frames"], case["fps"])
        resized = pixels.fastvideo_frames(clip[list(chosen.indices)])
    assert list(chosen.indices) == wanted.get("indices", case["indices"])
    assert list(resized.shape) == wanted["resized"]
    assert np.abs(_samples(resized).astype(int) - np.array(wanted["resized_samples"])).max() <= 1
    sums = resized.flatten(1).sum(1, dtype=torch.int64).numpy()
    assert sums == pytest.approx(np.array(wanted["resized_sum_per_frame"]), rel=1e-4)
    seen = pixels.clip(resized, 1.0)
    assert list(seen.grid) == wanted["video_grid_thw"][0]
    assert list(seen.rows.shape) == wanted["pixel_values_shape"]
    assert _samples(seen.rows) == pytest.approx(np.array(wanted["pixel_values_samples"]), abs=0.016)
    assert float(seen.rows.mean()) == pytest.approx(wanted["pixel_values_mean"], abs=1e-4)
    assert float(seen.rows.std()) == pytest.approx(wanted["pixel_values_std"], abs=1e-4)


def test_patches_are_those_of_transformers() -> None:
    from transformers import Qwen2VLImageProcessor

    clip = frames_of({"frames": 1, "h": 84, "w": 112, "seed": 3})
    seen = pixels.picture(clip[0])
    processor = Qwen2VLImageProcessor(do_resize=False, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD))
    theirs = processor(images=[clip[0]], return_tensors="pt")
    assert theirs["image_grid_thw"].tolist() == [list(seen.grid)]
    assert seen.rows.numpy() == pytest.approx(theirs["pixel_values"].numpy(), abs=1e-5)
    assert seen.seconds is None


def test_an_odd_number_of_frames_repeats_the_last() -> None:
    clip = frames_of({"frames": 5, "h": 112, "w": 112, "seed": 1})
    seen = pixels.clip(clip, 1.0)
    assert seen.grid[0] == 3
    pairs = seen.rows.reshape(3, -1, 3, 2, 14, 14)
    assert torch.equal(pairs[2][:, :, 0], pairs[2][:, :, 1])
    assert not torch.equal(pairs[1][:, :, 0], pairs[1][:, :, 1])
    assert seen.tokens == 3 * 4 * 4


def test_frames_of_the_right_size_are_not_touched() -> None:
    clip = frames_of({"frames": 2, "h": 336, "w": 336, "seed": 1})
    assert pixels.clip_frames(clip) is clip
