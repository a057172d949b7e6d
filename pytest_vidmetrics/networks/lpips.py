"""LPIPS (arXiv 1801.03924), version 0.1: trunks of torchvision with the published linear heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torchvision.models import alexnet, squeezenet1_1, vgg16

from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf

Net = Literal["alex", "vgg", "squeeze"]

_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_TINY = 1e-10


@dataclass(frozen=True)
class Variant:
    """One of the three published networks: after which layers of the trunk features are compared."""

    build: Callable[..., nn.Module]
    taps: tuple[int, ...]
    channels: tuple[int, ...]


VARIANTS: dict[Net, Variant] = {
    "alex": Variant(alexnet, (1, 4, 7, 9, 11), (64, 192, 384, 256, 256)),
    "vgg": Variant(vgg16, (3, 8, 15, 22, 29), (64, 128, 256, 512, 512)),
    "squeeze": Variant(squeezenet1_1, (1, 4, 7, 9, 10, 11, 12), (64, 128, 256, 384, 384, 512, 512)),
}


class Network(nn.Module):
    """Perceptual distance between frames, layer by layer."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.taps = variant.taps
        # The layers behind the last tap are never run.
        self.features = variant.build(weights=None).features[: variant.taps[-1] + 1]
        self.heads = nn.ModuleList([nn.Conv2d(c, 1, 1, bias=False) for c in variant.channels])

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return ``(N, layers)`` distances of two ``(N, 3, H, W)`` batches in [0, 1]; a frame's is their sum."""
        count = len(first)
        # Both sides in one batch: each layer runs once.
        images = torch.cat([first, second]) * 2 - 1
        shift, scale = (shared.per_channel(values, images) for values in (_SHIFT, _SCALE))
        images = (images - shift) / scale
        distances: list[torch.Tensor] = []
        for index, layer in enumerate(self.features):
            images = layer(images)
            if index in self.taps:
                # Every pixel's features have length 1, so that the heads weigh directions.
                unit = images / (images.square().sum(dim=1, keepdim=True).sqrt() + _TINY)
                gap = (unit[:count] - unit[count:]).square()
                distances.append(self.heads[len(distances)](gap).mean(dim=(1, 2, 3)))
        return torch.stack(distances, dim=1)


def build(net: Net, trunk: hf.State, heads: hf.State, device: torch.device | str = "cpu") -> Network:
    """Return the network with the published tensors: ``features.*`` and ``lin{i}.model.1.weight``.

    Raises ``RuntimeError`` when a tensor is missing or of another shape.
    """
    with torch.device("meta"):
        network = Network(VARIANTS[net])
    last = VARIANTS[net].taps[-1]
    state = {key: value for key, value in hf.pick(trunk, ["features."]).items() if int(key.split(".")[1]) <= last}
    # `lin3.model.1.weight` is head 3.
    state |= {f"heads.{key[3:].split('.')[0]}.weight": value for key, value in hf.pick(heads, ["lin"]).items()}
    hf.assign(network, state)
    return network.to(device)


def read(trunk: Path, heads: Path, device: torch.device | str, net: Net) -> Network:
    """Return the network of the two files of weights."""
    return build(net, hf.read_state(trunk, prefixes=["features."]), hf.read_state(heads, prefixes=["lin"]), device)
