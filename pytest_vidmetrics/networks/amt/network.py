"""AMT-S frame interpolation (arXiv 2304.09790): written from its description; the published weights fit its names.

The published weights are for non-commercial use only (CC BY-NC 4.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.amt.blocks import (
    LEVELS,
    Decoder,
    FeatureEncoder,
    Pyramid,
    UpdateBlock,
    lattice,
    look_up,
    resize,
    warp,
)
from pytest_vidmetrics.networks.flow.correlation import pyramid
from pytest_vidmetrics.networks.one_pass import OnePass

DIVISOR = 16
SMALLEST = 128
"""Fewest pixels of a padded side: below, the coarsest correlation level is one pixel wide and has no scale."""
FLOWS = 3
_WIDTHS = (20, 32, 44, 56)
_TIME = 0.5


class AmtS(nn.Module):
    """The network for the frame in the middle of two. Its parameters have the published names."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four = _WIDTHS
        self.feat_encoder = FeatureEncoder(84)
        self.encoder = Pyramid(_WIDTHS)
        self.decoder4 = Decoder(2 * four + 1, 2 * four, three + 4)
        self.decoder3 = Decoder(3 * three + 4, 3 * three, two + 4)
        self.decoder2 = Decoder(3 * two + 4, 3 * two, one + 4)
        self.decoder1 = Decoder(3 * one + 4, 3 * one, 8 * FLOWS)
        self.update4 = UpdateBlock(three, 1)
        self.update3 = UpdateBlock(two, 2)
        self.update2 = UpdateBlock(one, 4)
        self.comb_block = nn.Sequential(
            nn.Conv2d(3 * FLOWS, 6 * FLOWS, 3, padding=1), nn.PReLU(6 * FLOWS), nn.Conv2d(6 * FLOWS, 3, 3, padding=1)
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the ``(T - 1, 3, H, W)`` frames in the middle of each two of float32 frames in [0, 1].

        ``frames`` are ``(T, 3, H, W)``; ``H`` and ``W`` are multiples of 16 and at least 128.
        """
        with torch.inference_mode():
            return self._interpolate(frames)

    def _interpolate(self, frames: torch.Tensor) -> torch.Tensor:
        first, second = frames[:-1], frames[1:]
        both = _centred(first, second)
        # One batch for both directions: (2 (T - 1), 3, H, W).
        forward, backward = self.feat_encoder(both).chunk(2)
        volumes = pyramid(forward, backward, LEVELS), pyramid(backward, forward, LEVELS)
        levels = [level.chunk(2) for level in self.encoder(both)]
        # Freed: nothing below reads it.
        del both
        feature, flows = self._coarsest(*levels[3])
        for update, decoder, level in (
            (self.update4, self.decoder3, levels[2]),
            (self.update3, self.decoder2, levels[1]),
            (self.update2, self.decoder1, levels[0]),
        ):
            more_feature, more_flows = self._corrections(update, volumes, feature, flows)
            inputs, flows = _inputs(feature, more_feature, flows, more_flows, level[0], level[1], *lattice(feature))
            output = decoder(inputs)
            if decoder is not self.decoder1:
                # `output`: four channels of flow change, then the feature.
                feature, flows = output[:, 4:], _finer(output[:, :4], flows)
        del volumes
        images = _candidates(first, second, output, flows, *lattice(first))
        return _combined(images, self.comb_block(images))

    def _coarsest(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        time = left.new_full((len(left), 1, *left.shape[-2:]), _TIME)
        output = self.decoder4(torch.cat([left, right, time], dim=1))
        return output[:, 4:], output[:, :4]

    @staticmethod
    def _corrections(
        block: UpdateBlock, volumes: Sequence[Sequence[torch.Tensor]], feature: torch.Tensor, flows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how to correct a feature and its flows by what the correlation says where the flows point."""
        # A flow at a smaller size is that many pixels shorter, and longer again below.
        coarse = flows if block.factor == 1 else resize(flows, 1 / block.factor) / block.factor
        # The flows lead from the middle to both ends: a whole step from one end to the other is twice as long.
        to_first, to_second = coarse.chunk(2, dim=1)
        looked = look_up(volumes[0], to_second / _TIME), look_up(volumes[1], to_first / (1 - _TIME))
        more_feature, more_flows = block(feature, coarse, looked)
        return more_feature, block.factor * more_flows


def _centred(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return first frames and second frames, in this order, without the mean of their pair."""
    mean = first.mean(dim=(1, 2, 3), keepdim=True).add_(second.mean(dim=(1, 2, 3), keepdim=True)).div_(2)
    both = first.new_empty((2 * len(first), *first.shape[1:]))
    for frames, out in zip((first, second), both.chunk(2), strict=True):
        torch.sub(frames, mean, out=out)
    return both


def _resized(images: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return images at the size of others, scaled bilinearly."""
    size = like.shape[-2:]
    return images if images.shape[-2:] == size else F.interpolate(images, size, mode="bilinear", align_corners=False)


@OnePass
def _inputs(
    feature: torch.Tensor,
    more_feature: torch.Tensor,
    flows: torch.Tensor,
    more_flows: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    start: torch.Tensor,
    step: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a decoder sees: the corrected feature, both ends warped to the middle, the corrected flows.

    And those flows. ``start`` and ``step`` are the :func:`~.blocks.lattice` of the pixels.
    """
    flows = flows + _resized(more_flows, flows)
    warped = [warp(end, flow, start, step) for end, flow in zip((first, second), flows.chunk(2, dim=1), strict=True)]
    return torch.cat([feature + _resized(more_feature, feature), *warped, flows], dim=1), flows


@OnePass
def _finer(change: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
    """Return flows at twice the size, and as many pixels long, with a change."""
    return torch.add(change, _resized(flows, change), alpha=2)


@OnePass
def _candidates(
    first: torch.Tensor,
    second: torch.Tensor,
    output: torch.Tensor,
    flows: torch.Tensor,
    start: torch.Tensor,
    step: torch.Tensor,
) -> torch.Tensor:
    """Return the ``(N, 9, H, W)`` middle frames that three pairs of flows make of both ends."""
    # Three pairs of flows, their masks, and what is left: 6 + 6 + 3 + 9 channels.
    ahead, back, mask, residual = output.split([2 * FLOWS, 2 * FLOWS, FLOWS, 3 * FLOWS], dim=1)
    to_first, to_second = (2 * _resized(flows, output)).chunk(2, dim=1)
    weights = mask.sigmoid()
    found = []
    for i in range(FLOWS):
        places = slice(2 * i, 2 * i + 2)
        one = warp(first, ahead[:, places] + to_first, start, step)
        other = warp(second, back[:, places] + to_second, start, step)
        # The mask says how much of the first frame is seen.
        more = residual[:, 3 * i : 3 * i + 3]
        found.append(torch.lerp(other, one, weights[:, i : i + 1]).add_(more))
    return torch.cat(found, dim=1)


@OnePass
def _combined(images: torch.Tensor, correction: torch.Tensor) -> torch.Tensor:
    """Return the mean of the candidates, corrected."""
    # (N, 3 candidates, 3, H, W)
    return images.unflatten(1, (FLOWS, -1)).mean(dim=1).add_(correction).clamp_(0, 1)


@OnePass
def as_floats(frames: torch.Tensor) -> torch.Tensor:
    """Return uint8 frames as float32 in [0, 1]."""
    return frames.float().div_(255)


@OnePass
def gaps(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the ``(N,)`` sums of absolute differences, in levels, of frames in [0, 1] and of uint8 frames.

    The former are cut to levels, not rounded.
    """
    levels = (predicted * 255).to(torch.uint8).short()
    return levels.sub_(truth).abs_().sum(dim=(1, 2, 3))


def pad_to(images: torch.Tensor, divisor: int = DIVISOR) -> tuple[torch.Tensor, tuple[slice, slice]]:
    """Return images padded by repeating edges to multiples of ``divisor``, and where the originals lie."""
    height, width = images.shape[-2:]
    below, right = -height % divisor, -width % divisor
    if not below and not right:
        return images, (slice(height), slice(width))
    top, left = below // 2, right // 2
    padded = F.pad(images, (left, right - left, top, below - top), mode="replicate")
    return padded, (slice(top, top + height), slice(left, left + width))


def build(state: hf.State, device: torch.device | str = "cpu") -> AmtS:
    """Return the network with the tensors of a published state dict."""
    # On meta: nothing is allocated or drawn for parameters that are read right after.
    with torch.device("meta"):
        empty = AmtS()
    network: AmtS = hf.assign(empty, state).to(device)
    return network


def read(path: Path, device: torch.device | str) -> AmtS:
    """Return the network of a file of weights: ``state_dict`` beside settings that are not read."""
    return build(hf.read_state(path, "state_dict"), device)
