"""VideoMAE's clip descriptor against recorded values on stand-in weights in the published layout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks.videomae import VideoMae, read
from tests.support.oracle_fill import clip_uint8, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "fvd"


def _state(name: str) -> dict[str, torch.Tensor]:
    keys = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    return fill_state_dict({key: tuple(shape) for key, (shape, kind) in keys.items() if kind == "float32"})


def _clip(*size: int) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(*size)).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return _state("videomae_base_shallow")


@pytest.fixture(scope="module")
def network(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> VideoMae:
    path = tmp_path_factory.mktemp("weights") / "videomae.bin"
    torch.save(state, path)
    return read(path, "cpu")


def test_features_match_the_reference_from_a_file(network: VideoMae) -> None:
    found = network.features(_clip(16, 224, 224, 0))
    with np.load(DATA / "videomae_base_shallow.npz") as expected:
        np.testing.assert_allclose(found, expected["16x224x224_seed0_feature768"], atol=2e-5, rtol=0)


def test_another_number_of_frames_is_refused(network: VideoMae) -> None:
    with pytest.raises(IncompatibleSampleError, match="24 frames, videomae reads exactly 16"):
        network.features(torch.zeros(24, 3, 32, 32, dtype=torch.uint8))


def test_another_network_is_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises((KeyError, ValueError)):
        VideoMae({"fc.weight": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match="does not fit"):
        VideoMae({key: value for key, value in state.items() if "layer.1.output" not in key})


@pytest.mark.slow
@pytest.mark.parametrize("case", [(16, 224, 224, 0), (16, 96, 128, 1)])
def test_full_depth(case: tuple[int, int, int, int]) -> None:
    key = "{}x{}x{}_seed{}_feature768".format(*case)
    found = VideoMae(_state("videomae_base")).features(_clip(*case))
    with np.load(DATA / "videomae_base.npz") as expected:
        np.testing.assert_allclose(found, expected[key], atol=2e-5, rtol=0)
