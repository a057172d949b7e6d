"""The parts of AMT-S: encoders, correlation volumes, decoders and update blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.flow import correlation
from pytest_vidmetrics.networks.flow.correlation import positions
from pytest_vidmetrics.networks.instance_norm import both_normalised, joined_normalised, measured, normalised
from pytest_vidmetrics.networks.one_pass import OnePass

LEVELS = 4
RADIUS = 3
SIDE = 20
"""Channels of a residual block that go through convolutions of their own."""


def resize(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Return ``images`` scaled bilinearly by ``factor``."""
    return F.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)


def warp(images: torch.Tensor, flow: torch.Tensor, start: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return ``(N, C, H, W)`` images read where the ``(N, 2, H, W)`` flow in pixels (x, y) points; edges repeat.

    ``start`` and ``step`` are the :func:`lattice` of the images.
    """
    # (N, H, W, 2): x and y of each pixel, in [-1, 1] from edge to edge
    grid = torch.addcmul(start, flow.permute(0, 2, 3, 1), step)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def lattice(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where the pixels of ``(N, C, H, W)`` images lie as ``grid_sample`` counts, and how far one pixel is.

    The first is ``(H, W, 2)``, the second ``(2,)``: x and y.
    """
    height, width = images.shape[-2:]

    def start() -> torch.Tensor:
        across, down = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
        return torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)

    def step() -> torch.Tensor:
        # -1 and 1 are the centres of the outermost pixels, as align_corners=True counts.
        return torch.tensor([2 / (width - 1), 2 / (height - 1)])

    tables = (("lattice", start), ("pixel", step))
    found = [shared.table(name, images.device, make, height, width) for name, make in tables]
    return found[0], found[1]


def conv_prelu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution with a PReLU per channel."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.PReLU(outputs))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each with an instance norm that has no parameters.

    The norms take away what a convolution adds to a whole map, so that its bias is not added.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1)
        self.conv3 = nn.Conv2d(inner, outputs, 1)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride)) if stride > 1 else None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(N, outputs, H / stride, W / stride)``."""
        hidden = images
        for layer in (self.conv1, self.conv2):
            hidden = normalised(*_measured(layer, hidden))
        if self.downsample is None:
            return joined_normalised(images, *_measured(self.conv3, hidden))
        (layer,) = self.downsample
        return both_normalised(*_measured(layer, images), *_measured(self.conv3, hidden))


def _measured(layer: nn.Conv2d, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return measured(F.conv2d(images, layer.weight, None, layer.stride, layer.padding))


class FeatureEncoder(nn.Module):
    """Features at an eighth of the size, for correlation."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 7, stride=2, padding=3)
        self.layer1 = nn.Sequential(Bottleneck(32, 32, 1), Bottleneck(32, 32, 1))
        self.layer2 = nn.Sequential(Bottleneck(32, 64, 2), Bottleneck(64, 64, 1))
        self.layer3 = nn.Sequential(Bottleneck(64, 96, 2), Bottleneck(96, 96, 1))
        self.conv2 = nn.Conv2d(96, outputs, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(N, outputs, H / 8, W / 8)``."""
        hidden = normalised(*_measured(self.conv1, images))
        return self.conv2(self.layer3(self.layer2(self.layer1(hidden))))


class Pyramid(nn.Module):
    """Four levels of features at 1/2, 1/4, 1/8 and 1/16 of the size."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        inputs = 3
        for i, width in enumerate(widths, start=1):
            block = nn.Sequential(conv_prelu(inputs, width, 2), conv_prelu(width, width))
            self.add_module(f"pyramid{i}", block)
            inputs = width

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the levels, finest first."""
        levels = [images]
        for block in self.children():
            levels.append(block(levels[-1]))
        return levels[1:]


class ResidualBlock(nn.Module):
    """Five convolutions; the second and fourth see the last channels only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv_prelu(width, width)
        self.conv2 = conv_prelu(SIDE, SIDE)
        self.conv3 = conv_prelu(width, width)
        self.conv4 = conv_prelu(SIDE, SIDE)
        self.conv5 = nn.Conv2d(width, width, 3, padding=1)
        self.prelu = nn.PReLU(width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the same shape."""
        hidden = images
        for whole, part in ((self.conv1, self.conv2), (self.conv3, self.conv4)):
            hidden = whole(hidden)
            hidden[:, -SIDE:] = part(hidden[:, -SIDE:])
        return _joined(images, self.conv5(hidden), self.prelu.weight)


@OnePass
def _joined(images: torch.Tensor, more: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    return F.prelu(images + more, slopes)


class Decoder(nn.Module):
    """A convolution, a residual block and an up-sampling convolution."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            conv_prelu(inputs, width),
            ResidualBlock(width),
            nn.ConvTranspose2d(width, outputs, 4, stride=2, padding=1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(N, outputs, 2 H, 2 W)``."""
        return self.convblock(images)


class UpdateBlock(nn.Module):
    """Corrections of a feature and of both flows, computed at ``1 / factor`` of their size."""

    def __init__(self, width: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        # Two correlations, four levels, windows of 7 x 7.
        self.convc1 = nn.Conv2d(2 * LEVELS * (2 * RADIUS + 1) ** 2, 64, 1)
        self.convf1 = nn.Conv2d(4, 40, 7, padding=3)
        self.convf2 = nn.Conv2d(40, 20, 3, padding=1)
        self.conv = nn.Conv2d(84, 68, 3, padding=1)
        self.gru = self._pair(68 + 4 + width, 76)
        self.feat_head = self._pair(76, width)
        self.flow_head = self._pair(76, 4)

    @staticmethod
    def _pair(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, 76, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(76, outputs, 3, padding=1)
        )

    def forward(
        self, feature: torch.Tensor, flows: torch.Tensor, correlations: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both corrections at the smaller size, which is that of flows and correlations."""
        small = feature if self.factor == 1 else resize(feature, 1 / self.factor)
        moved = _active(self.convf2(_active(self.convf1(flows))))
        hidden = _active(self.conv(torch.cat([self._seen(correlations), moved], dim=1)))
        hidden = self.gru(torch.cat([hidden, flows, small], dim=1))
        return self.feat_head(hidden), self.flow_head(hidden)

    def _seen(self, correlations: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return what ``convc1`` makes of both correlations side by side, without laying them side by side."""
        count, _, height, width = correlations[0].shape
        # (N * h * w, 196) each
        cells = [one.permute(0, 2, 3, 1).flatten(0, 2) for one in correlations]
        # A 1x1 convolution is a matrix product, and splits by what it reads.
        first, second = self.convc1.weight.flatten(1).t().chunk(2)
        seen = torch.addmm(self.convc1.bias, cells[0], first).addmm_(cells[1], second)
        return _active(seen).view(count, height, width, -1).permute(0, 3, 1, 2)


def _active(images: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(images, 0.1, inplace=True)


def look_up(levels: Sequence[torch.Tensor], flow: torch.Tensor) -> torch.Tensor:
    """Return the ``(N, 196, H, W)`` correlations in 7 x 7 windows around where ``(N, 2, H, W)`` flow points."""
    return correlation.look_up(levels, positions(flow) + flow, RADIUS)
