"""Resizing as PyTorch does it: its numbers, and the same ones on every CPU, bit for bit."""

from __future__ import annotations

import hashlib
from typing import Literal

import pytest
import torch
import torch.nn.functional as F

from pytest_vidmetrics.media.interpolation import resize
from tests.support.oracle_fill import clip_uint8

Mode = Literal["bicubic", "bilinear"]
SIZES = [
    ((96, 128), (224, 298)),
    ((300, 420), (224, 313)),
    ((37, 53), (64, 20)),
    ((1, 9), (3, 4)),
    ((224, 300), (224, 224)),
]
# Of the float32 bytes of all sizes above, one after the other: no CPU and no number of threads may change them.
DIGESTS = {
    "bicubic": "9c6db9e6c7473a7f4d72468b21605aa51a8e4a6c122c3ff32196ad5c993af544",
    "bilinear": "a0d9c205463f930a8d6e528a91a9b9a339e5dd84ecdaeae298a0de28e98767a0",
}


def _frames(size: tuple[int, int]) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(2, *size, 5)).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("mode", DIGESTS)
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_numbers_are_those_of_pytorch(before: tuple[int, int], after: tuple[int, int], mode: Mode) -> None:
    frames = _frames(before)
    found = resize(frames, after, mode)
    assert found.dtype == torch.float32
    # Its own places differ between CPUs by a last digit of float32, which is 3e-5 of a pixel at 420.
    torch.testing.assert_close(found, F.interpolate(frames, size=after, mode=mode), rtol=0, atol=5e-3)


@pytest.mark.parametrize("mode", DIGESTS)
def test_numbers_are_the_same_on_every_cpu(mode: Mode) -> None:
    digest = hashlib.sha256()
    for before, after in SIZES:
        digest.update(resize(_frames(before), after, mode).contiguous().numpy().tobytes())
    assert digest.hexdigest() == DIGESTS[mode]


def test_a_slope_stays_one_and_an_edge_overshoots() -> None:
    slope = torch.arange(16.0).expand(1, 3, 4, 16)
    inner = resize(slope, (4, 32), "bilinear")[0, 0, 0, 4:-4]
    torch.testing.assert_close(inner, torch.arange(32.0)[4:-4] / 2 - 0.25)
    edge = torch.cat([torch.zeros(1, 1, 1, 8), torch.full((1, 1, 1, 8), 255.0)], dim=-1)
    assert float(resize(edge, (1, 32), "bicubic").max()) > 255
    assert float(resize(edge, (1, 32), "bilinear").max()) == 255
