"""LPIPS (arXiv 1801.03924), version 0.1: trunks of torchvision with the published linear heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torchvision.models import alexnet, squeezenet1_1, vgg16

from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf

Net = Literal["alex", "vgg", "squeeze"]

_HEADS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1"
_TRUNKS = "https://download.pytorch.org/models"
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_TINY = 1e-10


@dataclass(frozen=True)
class Variant:
    """One of the three published networks: after which layers of the trunk features are compared, and weights."""

    build: Callable[..., nn.Module]
    taps: tuple[int, ...]
    channels: tuple[int, ...]
    trunk: Weights
    heads: Weights


def _trunk(net: str, file: str) -> Weights:
    licence = "weights: not stated beside the file (torchvision is BSD-3-Clause)"
    return Weights(file, f"{_TRUNKS}/{file}", licence=licence, override=f"VIDMETRICS_LPIPS_TRUNK_{net}")


def _heads(net: str, sha256: str, size: int) -> Weights:
    name, override = f"lpips-v0.1-{net.lower()}.pth", f"VIDMETRICS_LPIPS_HEADS_{net}"
    source = f"{_HEADS}/{net.lower()}.pth"
    return Weights(name, source, sha256=sha256, size=size, licence="BSD-2-Clause", override=override)


VARIANTS: dict[Net, Variant] = {
    "alex": Variant(
        alexnet,
        (1, 4, 7, 9, 11),
        (64, 192, 384, 256, 256),
        _trunk("ALEX", "alexnet-owt-7be5be79.pth"),
        _heads("ALEX", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0", 6009),
    ),
    "vgg": Variant(
        vgg16,
        (3, 8, 15, 22, 29),
        (64, 128, 256, 512, 512),
        _trunk("VGG", "vgg16-397923af.pth"),
        _heads("VGG", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868", 7289),
    ),
    "squeeze": Variant(
        squeezenet1_1,
        (1, 4, 7, 9, 10, 11, 12),
        (64, 128, 256, 384, 384, 512, 512),
        _trunk("SQUEEZE", "squeezenet1_1-b8a52dc0.pth"),
        _heads("SQUEEZE", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76", 10811),
    ),
}


class Network(nn.Module):
    """Perceptual distance between frames, layer by layer."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.taps = variant.taps
        self.features = variant.build(weights=None).features[: variant.taps[-1] + 1]
        self.heads = nn.ModuleList([nn.Conv2d(c, 1, 1, bias=False) for c in variant.channels])

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return ``(N, layers)`` distances of two ``(N, 3, H, W)`` batches in [0, 1]; a frame's is their sum."""
        count = len(first)
        images = torch.cat([first, second]) * 2 - 1
        shift, scale = (images.new_tensor(values).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
        images = (images - shift) / scale
        distances: list[torch.Tensor] = []
        for index, layer in enumerate(self.features):
            images = layer(images)
            if index in self.taps:
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
    state |= {f"heads.{key[3:].split('.')[0]}.weight": value for key, value in hf.pick(heads, ["lin"]).items()}
    hf.assign(network, state)
    return network.to(device)


def load(net: Net, device: torch.device | str, metric: str | None = None) -> Network:
    """Return the shared network; ``metric`` is who asks, for the error message."""
    trunk, heads = (str(resolve(c, metric)) for c in (VARIANTS[net].trunk, VARIANTS[net].heads))
    return shared.load(
        f"lpips-{net}", device, lambda: build(net, hf.read_state(trunk), hf.read_state(heads), device), trunk, heads
    )
