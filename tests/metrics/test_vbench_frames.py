from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.metrics.vbench import frames
from tests.support.oracle_fill import clip_uint8

DATA = Path(__file__).parents[1] / "data" / "vbench"
CASES = json.loads((DATA / "preprocess.json").read_text())["expected"]["cases"]


def test_middle_sampling_table():
    for row in json.loads((DATA / "sampling_middle.json").read_text())["expected"]["index"]:
        assert frames.middle_indices(row["T"], row["n"]) == row["index"]


@settings(deadline=None, max_examples=50)
@given(total=st.integers(1, 400), count=st.integers(1, 32))
def test_middle_sampling_is_ordered_and_inside(total, count):
    picked = frames.middle_indices(total, count)
    assert len(picked) == count
    assert picked == sorted(picked)
    assert 0 <= picked[0] <= picked[-1] < total
    assert frames.middle_indices(count, count) == list(range(count))


def test_no_frames_cannot_be_sampled():
    with pytest.raises(ValueError, match="without frames"):
        frames.middle_indices(0, 8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["input"]["clip_uint8"]))
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("clip_float", frames.clip_float),
        ("clip_uint8", frames.clip_uint8),
        ("clip_pil", frames.clip_pillow),
        ("dino_float", frames.dino),
    ],
)
def test_preprocessing_matches_upstream(case, name, function):
    video = torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)
    found = function(video)
    assert list(found.shape) == case[name]["shape"]
    arrays = np.load(DATA / "preprocess.npz")
    np.testing.assert_allclose(found[:1, :, ::9, ::9].numpy(), arrays[f"{case['case']}_{name}"], atol=2e-6)
    assert float(found.double().mean()) == pytest.approx(case[name]["mean"], abs=1e-6)


def test_floating_point_frames_are_rounded_to_levels():
    video = torch.from_numpy(clip_uint8(1, 16, 16, 0)).permute(0, 3, 1, 2)
    assert torch.equal(frames.as_uint8(video.float() / 255), video)
