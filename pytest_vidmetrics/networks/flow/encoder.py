"""RAFT's two encoders: features of each frame for the correlation, and the context of the first of a pair."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pytest_vidmetrics.networks.instance_norm import EPSILON, both_normalised, joined_normalised, measured, normalised
from pytest_vidmetrics.networks.one_pass import Convolution, OnePass

Weights = Mapping[str, torch.Tensor]


class Encoder:
    """Three stages of two residual blocks each: ``(N, 3, H, W)`` to ``(N, 256, H / 8, W / 8)``.

    ``weights`` are named as in torchvision, in front of them ``prefix``. Means and variances of a batch norm, which do
    not depend on the frames, are part of the convolutions; without one in the weights each map is normalised by its
    own (instance norm), and the bias before that, which cancels, is left out.
    """

    def __init__(self, weights: Weights, prefix: str) -> None:
        self._folds = f"{prefix}.convnormrelu.1.running_var" in weights
        self._stem = self._convolution(weights, f"{prefix}.convnormrelu", 2)
        self._blocks = []
        for stage, stride in ((1, 1), (2, 2), (3, 2)):
            for number in (0, 1):
                name = f"{prefix}.layer{stage}.{number}"
                first = self._convolution(weights, f"{name}.convnormrelu1", stride if number == 0 else 1)
                second = self._convolution(weights, f"{name}.convnormrelu2", 1)
                changes = f"{name}.downsample.0.weight" in weights
                shortcut = self._convolution(weights, f"{name}.downsample", stride) if changes else None
                self._blocks.append((first, second, shortcut))
        self._last = Convolution(weights[f"{prefix}.conv.weight"], weights[f"{prefix}.conv.bias"])

    def _convolution(self, weights: Weights, name: str, stride: int) -> Convolution:
        weight = weights[f"{name}.0.weight"]
        if not self._folds:
            return Convolution(weight, stride=stride)
        norm = {
            part: weights[f"{name}.1.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        }
        # In float64, so that a folded weight is rounded once.
        scale = norm["weight"] / (norm["running_var"] + EPSILON).sqrt()
        bias = (weights[f"{name}.0.bias"].double() - norm["running_mean"]) * scale + norm["bias"]
        scaled = (weight.double() * scale[:, None, None, None]).to(weight.dtype)
        return Convolution(scaled, bias.to(weight.dtype), stride)

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Encode frames."""
        found = self._stem.rectified(frames) if self._folds else normalised(*measured(self._stem(frames)))
        for first, second, shortcut in self._blocks:
            if self._folds:
                hidden = second.rectified(first.rectified(found))
                found = _joined(found if shortcut is None else shortcut(found), hidden)
                continue
            hidden = second(normalised(*measured(first(found))))
            if shortcut is None:
                found = joined_normalised(found, *measured(hidden))
            else:
                found = both_normalised(*measured(shortcut(found)), *measured(hidden))
        return self._last(found)


@OnePass
def _joined(shortcut: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    return (shortcut + hidden).relu_()
