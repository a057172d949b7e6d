"""Windows of correlations: as the published code looks them up, in fewer passes on a GPU, in parts that cuDNN takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.models.optical_flow.raft import CorrBlock

from pytest_vidmetrics.networks.flow import correlation


def features(count: int = 2, height: int = 16, width: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    first, second = (torch.randn(count, 8, height, width, generator=generator) for _ in range(2))
    return first, second


def centres(like: torch.Tensor) -> torch.Tensor:
    moved = torch.randn(len(like), 2, *like.shape[-2:], generator=torch.Generator().manual_seed(4))
    return correlation.positions(like) + 3 * moved


def test_windows_are_those_of_torchvision_bit_for_bit() -> None:
    first, second = features()
    block = CorrBlock()
    block.build_pyramid(first, second)
    found = correlation.look_up(block.corr_pyramid, centres(first), 4)
    assert torch.equal(found, block.index_pyramid(centres(first)))


def test_one_pass_places_windows_where_four_do() -> None:
    first, second = features()
    levels, flat = correlation.pyramid(first, second, 4), centres(first).permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    for level, maps in enumerate(levels):
        offset, scale = correlation._grid_tables(flat, level, maps, 4)
        expected = correlation._exact_grid(flat, level, maps, 4)
        torch.testing.assert_close(torch.addcmul(offset, flat, scale), expected, rtol=0, atol=2e-6)


def test_features_are_halved_instead_of_correlations() -> None:
    first, second = features(height=17, width=22)
    block = CorrBlock()
    block.build_pyramid(first, second)
    for found, expected in zip(correlation.pyramid(first, second, 4), block.corr_pyramid, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("windows", [correlation._windows, correlation._windows_in_parts])
def test_what_a_gpu_looks_up_is_what_a_processor_does(windows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "MOST_MAPS", 100)
    first, second = features()
    levels, flat = correlation.pyramid(first, second, 4), centres(first).permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    expected = correlation.look_up(levels, centres(first), 3).permute(0, 2, 3, 1).flatten(0, 2)
    for level, maps in enumerate(levels):
        found = torch.empty(len(flat), 49)
        windows(maps, *correlation._grid_tables(flat, level, maps, 3), flat, found)
        torch.testing.assert_close(found, expected[:, 49 * level :][:, :49], rtol=1e-5, atol=1e-4)


def test_maps_are_sampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = features()
    levels = correlation.pyramid(first, second, 4)
    whole = correlation.look_up(levels, centres(first), 3)
    monkeypatch.setattr(correlation, "MOST_MAPS", 100)
    assert torch.equal(correlation.look_up(levels, centres(first), 3), whole)
