"""AMT-S frame interpolation (arXiv 2304.09790): written from its description; the published weights fit its names.

The published weights are for non-commercial use only (CC BY-NC 4.0).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.amt.blocks import (
    Decoder,
    FeatureEncoder,
    Pyramid,
    UpdateBlock,
    correlation_pyramids,
    look_up,
    resize,
    warp,
)

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

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 3, H, W)`` middle frames in [0, 1] of float32 frames in [0, 1].

        ``H`` and ``W`` are multiples of 16 and at least 128.
        """
        with torch.inference_mode():
            return self._interpolate(first, second)

    def _interpolate(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        mean = torch.cat([first, second], dim=2).mean(dim=(1, 2, 3), keepdim=True)
        first, second = first - mean, second - mean
        forward, backward = self.feat_encoder(torch.cat([first, second])).chunk(2)
        volumes = correlation_pyramids(forward, backward)
        levels = [level.chunk(2) for level in self.encoder(torch.cat([first, second]))]
        feature, flows = self._coarsest(*levels[3])
        feature, flows = self._update(self.update4, volumes, feature, flows)
        for decoder, update, level in (
            (self.decoder3, self.update3, levels[2]),
            (self.decoder2, self.update2, levels[1]),
        ):
            output, finer = self._decode(decoder, feature, level, flows)
            feature, flows = self._update(update, volumes, output[:, 4:], output[:, :4] + finer)
        output, finer = self._decode(self.decoder1, feature, levels[0], flows)
        return self._merge(first, second, mean, output, finer)

    def _coarsest(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        time = left.new_full((len(left), 1, *left.shape[-2:]), _TIME)
        output = self.decoder4(torch.cat([left, right, time], dim=1))
        return output[:, 4:], output[:, :4]

    @staticmethod
    def _decode(
        decoder: Decoder, feature: torch.Tensor, level: tuple[torch.Tensor, ...], flows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the decoder's output and the flows at twice the size."""
        warped = [warp(image, flow) for image, flow in zip(level, flows.chunk(2, dim=1), strict=True)]
        output: torch.Tensor = decoder(torch.cat([feature, *warped, flows], dim=1))
        return output, 2.0 * resize(flows, 2.0)

    @staticmethod
    def _update(
        block: UpdateBlock, volumes: tuple[list[torch.Tensor], ...], feature: torch.Tensor, flows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Correct a feature and its flows by what the correlation says where the flows point."""
        coarse = flows if block.factor == 1 else resize(flows, 1 / block.factor) / block.factor
        # The flows lead from the middle to both ends: a whole step from one end to the other is twice as long.
        to_first, to_second = coarse.chunk(2, dim=1)
        looked = [
            look_up(volumes[0], to_second / _TIME),
            look_up(volumes[1], to_first / (1 - _TIME)),
        ]
        more_feature, more_flows = block(feature, coarse, torch.cat(looked, dim=1))
        return feature + more_feature, flows + more_flows

    def _merge(
        self,
        first: torch.Tensor,
        second: torch.Tensor,
        mean: torch.Tensor,
        output: torch.Tensor,
        flows: torch.Tensor,
    ) -> torch.Tensor:
        """Blend three warped candidates."""
        ahead, back, mask, residual = output.split([2 * FLOWS, 2 * FLOWS, FLOWS, 3 * FLOWS], dim=1)
        to_first, to_second = flows.chunk(2, dim=1)
        batch = len(first)

        def candidates(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.unflatten(1, (FLOWS, -1)).flatten(0, 1)

        def ends(image: torch.Tensor, change: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
            total = candidates(change + flow.repeat(1, FLOWS, 1, 1))
            return warp(image.repeat_interleave(FLOWS, dim=0), total)

        weight = candidates(mask.sigmoid())
        blended = weight * ends(first, ahead, to_first) + (1 - weight) * ends(second, back, to_second)
        blended = blended + mean.repeat_interleave(FLOWS, dim=0) + candidates(residual)
        images = blended.unflatten(0, (batch, FLOWS))
        combined: torch.Tensor = images.mean(dim=1) + self.comb_block(images.flatten(1, 2))
        return combined.clamp(0, 1)


def pad_to(images: torch.Tensor, divisor: int = DIVISOR) -> tuple[torch.Tensor, tuple[slice, slice]]:
    """Return images padded by repeating edges to multiples of ``divisor``, and where the originals lie."""
    height, width = images.shape[-2:]
    below, right = -height % divisor, -width % divisor
    top, left = below // 2, right // 2
    padded = F.pad(images, (left, right - left, top, below - top), mode="replicate")
    return padded, (slice(top, top + height), slice(left, left + width))


def build(state: hf.State, device: torch.device | str = "cpu") -> AmtS:
    """Return the network with the tensors of a published state dict."""
    with torch.device("meta"):
        empty = AmtS()
    network: AmtS = hf.assign(empty, state).to(device)
    return network


def read(path: Path, device: torch.device | str) -> AmtS:
    """Return the network of a file of weights: ``state_dict`` beside settings that are not read."""
    return build(hf.read_state(path, "state_dict"), device)
