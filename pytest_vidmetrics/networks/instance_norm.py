"""Instance norms with what follows them, in one pass over memory after the one that measures: of RAFT and of AMT."""

from __future__ import annotations

import torch

from pytest_vidmetrics.networks.one_pass import OnePass

EPSILON = 1e-5
"""Added to every variance, as torchvision does."""


def measured(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return maps with the variance and the mean of each."""
    if maps.device.type == "cpu":  # there two passes in turn take a fifth of the time of the function for both
        mean = maps.mean(dim=(2, 3), keepdim=True)
        return maps, (maps - mean).square_().mean(dim=(2, 3), keepdim=True), mean
    variance, mean = torch.var_mean(maps, dim=(2, 3), correction=0, keepdim=True)
    return maps, variance, mean


def _standard(maps: torch.Tensor, variance: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    scale = (variance + EPSILON).rsqrt()
    return (maps * scale).sub_(mean * scale)


@OnePass
def normalised(maps: torch.Tensor, variance: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Return normalised maps, rectified."""
    return _standard(maps, variance, mean).relu_()


@OnePass
def joined_normalised(
    shortcut: torch.Tensor, maps: torch.Tensor, variance: torch.Tensor, mean: torch.Tensor
) -> torch.Tensor:
    """Return the rectified sum of a shortcut and of normalised maps, rectified."""
    return _standard(maps, variance, mean).relu_().add_(shortcut).relu_()


@OnePass
def both_normalised(
    shortcut: torch.Tensor,
    shortcut_variance: torch.Tensor,
    shortcut_mean: torch.Tensor,
    maps: torch.Tensor,
    variance: torch.Tensor,
    mean: torch.Tensor,
) -> torch.Tensor:
    """Return the rectified sum of a normalised shortcut and of normalised maps, rectified."""
    hidden = _standard(maps, variance, mean).relu_()
    return hidden.add_(_standard(shortcut, shortcut_variance, shortcut_mean)).relu_()
