"""Convolutions as matrix products: on GPUs cuDNN rounds its own to TF32, and the switch for that is global."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def conv1d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> torch.Tensor:
    """Return what ``torch.nn.functional.conv1d`` does, in the full precision of the tensors.

    ``x`` is ``(B, C, N)``, ``weight`` ``(D, C / groups, k)``; the result is ``(B, D, T)``.
    """
    # `F.pad` copies even where there is nothing to add.
    padded = F.pad(x, (padding, padding)) if padding else x
    parts = [
        _columns(part, weight.shape[-1], stride) @ filters.flatten(1).T
        for part, filters in zip(padded.chunk(groups, dim=1), weight.chunk(groups), strict=True)
    ]
    out = parts[0] if groups == 1 else torch.cat(parts, dim=-1)
    return (out if bias is None else out + bias).transpose(1, 2)


def _columns(x: torch.Tensor, width: int, stride: int) -> torch.Tensor:
    """Return ``(B, T, C * width)``: what each output of a convolution sees."""
    # (B, C, T, width) becomes (B, T, C * width)
    return x.unfold(-1, width, stride).permute(0, 2, 1, 3).flatten(2)


def conv2d(x: torch.Tensor, weight: torch.Tensor, *, stride: int) -> torch.Tensor:
    """Return ``(B, T, D)``: the outputs of ``conv2d`` without bias or padding, row by row, one token each.

    ``x`` is ``(B, C, H, W)``, ``weight`` ``(D, C, h, w)``.
    """
    # (B, C * h * w, T) becomes (B, T, C * h * w)
    return F.unfold(x, tuple(weight.shape[-2:]), stride=stride).transpose(1, 2) @ weight.flatten(1).T
