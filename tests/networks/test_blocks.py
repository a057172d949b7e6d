"""Transformer blocks of joined weights beside the same ones written out layer by layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.blocks import CLIP_NAMES, Blocks, joined, published_shapes

WIDTH, INNER, DEPTH, PREFIX = 128, 192, 2, "layers."


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    seeded = torch.Generator().manual_seed(5)
    shapes = published_shapes(DEPTH, WIDTH, INNER, CLIP_NAMES, PREFIX)
    return {name: 0.3 * torch.randn(shape, generator=seeded) for name, shape in shapes.items()}


def tokens() -> torch.Tensor:
    return torch.randn(3, 7, WIDTH, generator=torch.Generator().manual_seed(6))


def built(state: hf.State, *, quick: bool) -> Blocks:
    with torch.device("meta"):
        empty = Blocks(DEPTH, WIDTH, INNER, 1e-5, quick=quick)
    network = hf.assign(empty, joined(state, DEPTH, CLIP_NAMES, PREFIX, quick=quick))
    assert isinstance(network, Blocks)
    return network


def written_out(state: hf.State, hidden: torch.Tensor, *, quick: bool) -> torch.Tensor:
    for i in range(DEPTH):

        def layer(name: str, values: torch.Tensor, block: str = f"{PREFIX}{i}.") -> torch.Tensor:
            weight, bias = state[f"{block}{name}.weight"], state[f"{block}{name}.bias"]
            return F.linear(values, weight, bias) if weight.dim() > 1 else F.layer_norm(values, (WIDTH,), weight, bias)

        normal = layer(CLIP_NAMES.norm1, hidden)
        query, key, value = (
            layer(name, normal).unflatten(-1, (-1, hf.HEAD_WIDTH)).transpose(1, 2)
            for name in (CLIP_NAMES.query, CLIP_NAMES.key, CLIP_NAMES.value)
        )
        shares = (query @ key.transpose(-1, -2) / hf.HEAD_WIDTH**0.5).softmax(dim=-1)
        hidden = hidden + layer(CLIP_NAMES.out, (shares @ value).transpose(1, 2).flatten(2))
        inner = layer(CLIP_NAMES.inner, layer(CLIP_NAMES.norm2, hidden))
        hidden = hidden + layer(CLIP_NAMES.outer, inner * (1.702 * inner).sigmoid() if quick else F.gelu(inner))
    return hidden


@pytest.mark.parametrize("quick", [False, True], ids=["gelu", "quick gelu"])
def test_joined_blocks_give_what_single_layers_give(state: dict[str, torch.Tensor], quick: bool) -> None:
    network, expected = built(state, quick=quick), written_out(state, tokens(), quick=quick)
    torch.testing.assert_close(network(tokens()), expected, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(network(tokens(), first=True), expected[:, :1], atol=2e-5, rtol=2e-5)


def test_blocks_multiply_in_bfloat16_where_they_are_told_to(state: dict[str, torch.Tensor]) -> None:
    network, expected = built(state, quick=True), written_out(state, tokens(), quick=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(tokens())
    assert found.dtype == torch.float32
    change = (found - expected).norm() / expected.norm()
    assert 1e-4 < change < 2e-2
