"""RAFT as it is computed here, weights split and folded, against torchvision's own parts, and what it costs a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models.optical_flow import raft_large

from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.vbench.dynamic_degree import DynamicDegree
from pytest_vidmetrics.networks.flow import correlation, raft
from pytest_vidmetrics.networks.flow.clip_flow import padded
from pytest_vidmetrics.networks.flow.encoder import Encoder
from pytest_vidmetrics.networks.flow.update import Update
from tests.support import fake_networks
from tests.support.fake_cuda import simulated
from tests.support.raft_weights import frames, raft_state

SIDES = (136, 128)


@pytest.fixture(scope="module")
def published() -> Any:
    model = raft_large(weights=None, progress=False).eval().requires_grad_(requires_grad=False)
    model.load_state_dict(
        {new: value for key, value in raft_state(damping=1.0).items() if (new := raft.rename(key)) is not None}
    )
    return model


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    return frames(3, *SIDES, seed=5).float() / 255 * 2 - 1


def near(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for 1e-5 of the largest value."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["feature_encoder", "context_encoder"])
def test_norms_that_are_folded_are_those_of_torchvision(name: str, published: Any, clip: torch.Tensor) -> None:
    with torch.inference_mode():
        near(Encoder(published.state_dict(), name)(clip), getattr(published, name)(clip))


def test_split_gates_are_those_of_torchvision(published: Any, clip: torch.Tensor) -> None:
    size = 128
    with torch.inference_mode():
        maps, context = published.feature_encoder(clip), published.context_encoder(clip[:-1])
        levels = correlation.pyramid(maps[:-1], maps[1:], 4)
        found = Update(published.state_dict())(levels, context, 3)
        hidden, seen_before = context[:, :size].tanh(), context[:, size:].relu()
        start = correlation.positions(hidden).expand(len(hidden), -1, -1, -1)
        now = start
        for _ in range(3):
            looked = correlation.look_up(levels, now, 4)
            hidden, change = published.update_block(hidden, seen_before, looked, now - start)
            now = now + change
    near(found[0], now - start)
    near(found[1], hidden)


def test_a_pair_keeps_its_modelled_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the model in docs/performance.md, here ten pairs and two iterations; with 20 it is 2.9 ms a pair, was 5.4."""
    monkeypatch.setattr(raft, "ITERATIONS", 2)
    for name, path in fake_networks.files(tmp_path).items():
        monkeypatch.setenv(name, path)
    with fake_networks.without_weights(), simulated() as gpu:
        metric = registry.get_metric("vbench.dynamic_degree").to("cuda:0")
        assert isinstance(metric, DynamicDegree)
        network = padded(metric._network)
        clip = torch.empty((11, 480, 832, 3), dtype=torch.uint8, device="cuda:0").permute(0, 3, 1, 2)
        gpu.zero()
        network(clip)
    assert gpu.launches <= 136
    assert gpu.time.seconds["tf32"] <= 0.0096
    assert gpu.time.floor["tf32"] <= 0.0052
