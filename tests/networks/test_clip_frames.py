"""CLIP's clip descriptor against recorded values on stand-in weights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks.clip.frames import ClipFrames, pixels
from pytest_vidmetrics.networks.clip.towers import ClipImage
from tests.support.oracle_fill import clip_uint8, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "fvd"


def _network(name: str) -> ClipFrames:
    keys = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    shapes = {key: tuple(shape) for key, (shape, kind) in keys.items() if kind == "float32" and "vis" in key}
    return ClipFrames(ClipImage(fill_state_dict(shapes)))


def _clip(*size: int) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(*size)).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def shallow() -> ClipFrames:
    return _network("clip_vit_b32_shallow")


def test_features_match_the_reference(shallow: ClipFrames) -> None:
    with np.load(DATA / "clip_vit_b32_shallow.npz") as expected:
        found = shallow.features(_clip(4, 224, 224, 0))
        np.testing.assert_allclose(found, expected["4x224x224_seed0_feature512"], atol=2e-5, rtol=0)


def test_preprocessing_matches_the_reference() -> None:
    found = pixels(_clip(3, 96, 128, 1))
    assert found.shape == (3, 3, 224, 224)
    assert float(found.mean()) == pytest.approx(0.21629614221643617, abs=1e-6)
    first = [0.12013128399848938, 0.23691870272159576, 0.3099108338356018, 0.3975013792514801]
    assert found.flatten()[:4].tolist() == pytest.approx(first, abs=1e-6)


def test_long_clips_are_the_mean_over_all_frames(shallow: ClipFrames) -> None:
    clip = _clip(18, 40, 30, 2)
    parts = torch.stack([shallow.features(frame[None]) for frame in clip])
    torch.testing.assert_close(shallow.features(clip), parts.mean(dim=0), atol=1e-5, rtol=0)


def test_a_clip_without_frames_is_refused(shallow: ClipFrames) -> None:
    with pytest.raises(IncompatibleSampleError, match="no frames"):
        shallow.features(_clip(1, 32, 32, 0)[:0])


@pytest.mark.slow
@pytest.mark.parametrize("case", [(4, 224, 224, 0), (3, 96, 128, 1)])
def test_full_depth(case: tuple[int, int, int, int]) -> None:
    key = "{}x{}x{}_seed{}_feature512".format(*case)
    with np.load(DATA / "clip_vit_b32.npz") as expected:
        np.testing.assert_allclose(_network("clip_vit_b32").features(_clip(*case)), expected[key], atol=2e-5, rtol=0)
