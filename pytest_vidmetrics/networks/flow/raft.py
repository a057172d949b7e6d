"""RAFT with the "things" weights (arXiv 2003.12039): torchvision's ``raft_large``, run on consecutive frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.flow.correlation import pyramid
from pytest_vidmetrics.networks.flow.encoder import Encoder
from pytest_vidmetrics.networks.flow.update import Update
from pytest_vidmetrics.networks.one_pass import Convolution, OnePass

ITERATIONS = 20
LEVELS = 4
DIVISOR = 8
MASK_SCALE = 0.25
"""Of what the mask predictor gives, as upstream: a power of two, which rounds nothing."""
SMALLEST = 128
"""Fewest pixels of a padded side: the coarsest correlation level needs two."""

_ENCODER = (
    ("conv1.", "convnormrelu.0."),
    ("norm1.", "convnormrelu.1."),
    ("conv2.", "conv."),
)
_BLOCK = (
    ("conv1.", "convnormrelu1.0."),
    ("norm1.", "convnormrelu1.1."),
    ("conv2.", "convnormrelu2.0."),
    ("norm2.", "convnormrelu2.1."),
)
_UPDATE = (
    ("encoder.convc1.", "update_block.motion_encoder.convcorr1.0."),
    ("encoder.convc2.", "update_block.motion_encoder.convcorr2.0."),
    ("encoder.convf1.", "update_block.motion_encoder.convflow1.0."),
    ("encoder.convf2.", "update_block.motion_encoder.convflow2.0."),
    ("encoder.conv.", "update_block.motion_encoder.conv.0."),
    *((f"gru.conv{g}{i}.", f"update_block.recurrent_block.convgru{i}.conv{g}.") for i in (1, 2) for g in "zrq"),
    ("flow_head.", "update_block.flow_head."),
    ("mask.0.", "mask_predictor.convrelu.0."),
    ("mask.2.", "mask_predictor.conv."),
)


def rename(key: str) -> str | None:
    """Return torchvision's name of a published key, or ``None`` for a tensor that the file holds twice."""
    key = key.removeprefix("module.")
    if ".norm3." in key:
        return None
    for source, target in (("fnet.", "feature_encoder."), ("cnet.", "context_encoder.")):
        if key.startswith(source):
            return target + _rename_encoder(key.removeprefix(source))
    rest = key.removeprefix("update_block.")
    return next((new + rest.removeprefix(old) for old, new in _UPDATE if rest.startswith(old)), key)


def _rename_encoder(key: str) -> str:
    layer, _, rest = key.partition(".")
    if not layer.startswith("layer"):
        return next((new + key.removeprefix(old) for old, new in _ENCODER if key.startswith(old)), key)
    number, _, rest = rest.partition(".")
    renamed = (new + rest.removeprefix(old) for old, new in _BLOCK if rest.startswith(old))
    return f"{layer}.{number}.{next(renamed, rest)}"


class RaftThings:
    """The network. ``state`` is the published state dict; of its weights those are kept that it computes with."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from torchvision.models.optical_flow import raft_large

        renamed = {new: value for key, value in state.items() if (new := rename(key)) is not None}
        # On meta: no memory for parameters that the file replaces.
        with torch.device("meta"):
            model = raft_large(weights=None, progress=False)
        weights = {key: value.to(device) for key, value in hf.assign(model, renamed).state_dict().items()}
        self._features = Encoder(weights, "feature_encoder")
        self._context = Encoder(weights, "context_encoder")
        self._update = Update(weights)
        self._mask = [
            Convolution(
                scale * weights[f"mask_predictor.{name}.weight"], scale * weights[f"mask_predictor.{name}.bias"]
            )
            for name, scale in (("convrelu.0", 1), ("conv", MASK_SCALE))
        ]

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the ``(T - 1, 2, H, W)`` flow in pixels from each frame to the next.

        ``frames`` are ``(T, 3, H, W)`` float32 in 0..255; ``H`` and ``W`` are multiples of 8 and at least 128.
        """
        with torch.inference_mode():
            return self._flow(_centred(frames).contiguous(memory_format=torch.channels_last))

    def _flow(self, frames: torch.Tensor) -> torch.Tensor:
        # Each frame is encoded once, though it is in two pairs, and only the last flow is brought to full size.
        maps = self._features(frames)
        levels = pyramid(maps[:-1], maps[1:], LEVELS)
        flow, hidden = self._update(levels, self._context(frames[:-1]), ITERATIONS)
        del levels
        return _upsampled(flow, self._mask[1](self._mask[0].rectified(hidden)))


@OnePass
def _centred(frames: torch.Tensor) -> torch.Tensor:
    return frames / 255 * 2 - 1


def _upsampled(flow: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return flow at eight times the size: each pixel is a learned mean of 3 x 3 coarse ones."""
    count, _, height, width = flow.shape
    # (N, 9 neighbours, 64 fine pixels, h, w): shares of each fine pixel that add up to 1
    weights = mask.unflatten(1, (9, DIVISOR * DIVISOR)).softmax(dim=1)
    # Flow is eight times as long at eight times the size.
    around = F.unfold(DIVISOR * flow, 3, padding=1).view(count, 2, 9, 1, height, width)
    fine = _mean(weights[:, None], around).view(count, 2, DIVISOR, DIVISOR, height, width)
    # (N, 2, h, 8, w, 8), then rows and columns together
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(count, 2, DIVISOR * height, DIVISOR * width)


@OnePass
def _mean(weights: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
    return (weights * around).sum(dim=2)


def pad(frames: torch.Tensor) -> tuple[torch.Tensor, tuple[Any, ...]]:
    """Return frames whose sides are multiples of 8 (edges repeated, the odd pixel right and below), and the inside."""
    height, width = frames.shape[-2:]
    below, right = -height % DIVISOR, -width % DIVISOR
    if not below and not right:
        return frames, (...,)
    top, left = below // 2, right // 2
    wide = F.pad(frames, (left, right - left, top, below - top), mode="replicate")
    return wide, (..., slice(top, top + height), slice(left, left + width))


def read(path: Path, device: torch.device | str) -> RaftThings:
    """Return the network of a file of weights."""
    return RaftThings(hf.read_state(path), device)
