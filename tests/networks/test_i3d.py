"""InceptionI3d against recorded values on stand-in weights in the published layout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks.i3d import InceptionI3d, _neighbourhood, _pool, _renamed, read
from pytest_vidmetrics.networks.state_dicts import read_state
from tests.support.oracle_fill import clip_uint8, fill_array
from tests.support.published_files import hassony2

DATA = Path(__file__).parents[1] / "data" / "fvd"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    shapes = json.loads(gzip.decompress((DATA / "i3d.keys.json.gz").read_bytes()))
    return {k: torch.from_numpy(fill_array(k, tuple(s))) for k, (s, kind) in shapes.items() if kind == "float32"}


def _input(frames: int, seed: int) -> torch.Tensor:
    clip = torch.from_numpy(clip_uint8(frames, 224, 224, seed))
    return clip.permute(3, 0, 1, 2).float() / 255 * 2 - 1


@pytest.mark.parametrize(("frames", "seed"), [(16, 0), (16, 1), (10, 2), (33, 4)])
def test_features_and_logits_match_the_published_network(
    state: dict[str, torch.Tensor], frames: int, seed: int
) -> None:
    network = InceptionI3d(state)
    features = network.features(_input(frames, seed))
    with np.load(DATA / "i3d.npz") as expected:
        key = f"{frames}x224x224_seed{seed}"
        np.testing.assert_allclose(features, expected[f"{key}_features1024"], atol=2e-6, rtol=0)
        np.testing.assert_allclose(network.logits(features), expected[f"{key}_logits400"], atol=2e-6, rtol=0)


def test_videogpt_epsilon(state: dict[str, torch.Tensor]) -> None:
    network = InceptionI3d(state, epsilon=1e-5)
    with np.load(DATA / "i3d.npz") as expected:
        logits = network.logits(network.features(_input(16, 0)))
        np.testing.assert_allclose(logits, expected["16x224x224_seed0_videogpt_logits400"], atol=2e-6, rtol=0)


def test_large_input_differs_strongly_between_clips(state: dict[str, torch.Tensor]) -> None:
    features = InceptionI3d(state).features(_input(16, 1) * 64)
    with np.load(DATA / "i3d.npz") as arrays:
        expected = arrays["16x224x224_seed1_amplified64_features1024"]
    np.testing.assert_allclose(features, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def test_several_windows_of_one_length_go_through_together(state: dict[str, torch.Tensor]) -> None:
    network, clips = InceptionI3d(state), [_input(10, seed) for seed in (0, 1)]
    together = network.features(torch.stack(clips))
    assert together.shape == (2, 1024)
    for clip, row in zip(clips, together, strict=True):
        np.testing.assert_allclose(row, network.features(clip), atol=2e-6, rtol=0)


def test_nine_frames_are_enough_and_eight_are_not(state: dict[str, torch.Tensor]) -> None:
    network = InceptionI3d(state)
    assert network.features(_input(9, 0)).shape == (1024,)
    with pytest.raises(IncompatibleSampleError, match="8 frames, i3d needs at least 9"):
        network.features(_input(8, 0))


@pytest.mark.parametrize("shape", [(1, 1, 2), (2, 7, 7), (3, 9, 5), (4, 14, 14)])
def test_maxima_are_those_of_zero_padded_maps(shape: tuple[int, int, int]) -> None:
    x = torch.rand((1, 5, *shape), generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last_3d)
    around = torch.nn.functional.pad(x, (1,) * 6)
    assert torch.equal(_neighbourhood(x), torch.nn.functional.max_pool3d(around, 3, 1))
    for kernel, stride in [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))]:
        pads = []
        for size, k, s in reversed(list(zip(shape, kernel, stride, strict=True))):
            total = max(k - s if size % s == 0 else k - size % s, 0)
            pads += [total // 2, total - total // 2]
        expected = torch.nn.functional.max_pool3d(torch.nn.functional.pad(x, pads), kernel, stride)
        assert torch.equal(_pool(x, kernel, stride), expected)


def test_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="not an I3D state dict"):
        InceptionI3d({"fc.weight": torch.zeros(2, 2)})


def test_state_dict_file_loads(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "i3d.pt")
    assert read(tmp_path / "i3d.pt", "cpu", "torchscript").weight.shape == (400, 1024)


class _Child(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv3d = torch.nn.Conv3d(2, 3, 1)
        self.bn = torch.nn.BatchNorm3d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv3d(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_tensors_equal_the_module(tmp_path: Path) -> None:
    module = torch.nn.Sequential(_Child(), _Child().requires_grad_(False))[:1]
    torch.jit.script(module.eval()).save(str(tmp_path / "m.pt"))
    found = read_state(tmp_path / "m.pt")
    for key, value in module.state_dict().items():
        torch.testing.assert_close(found[key], value.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("prefix", ["", "model.", "module.net."])
def test_names_of_hassony2_are_those_of_piergiaj_behind_any_prefix(prefix: str) -> None:
    names = json.loads(gzip.decompress((DATA / "i3d.keys.json.gz").read_bytes()))
    one = torch.zeros(1)
    found = _renamed({f"{prefix}{hassony2(key)}": one for key in names})
    assert set(found) == set(names)
    assert len(names) == 344
    assert set(_renamed({f"{prefix}{key}": one for key in names})) == set(names)
