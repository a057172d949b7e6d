"""Audiobox Aesthetics (arXiv 2502.05139): four quality scores of a sound, from WavLM and one head per axis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.state_files import read_value
from pytest_vidmetrics.networks.wavlm import SAMPLE_RATE, WavLM

AXES = ("CE", "CU", "PC", "PQ")
WINDOW = 10 * SAMPLE_RATE
_FRAME = 320
"""Samples that one frame of the mask stands for: the window over its 499 frames, rounded down."""
_SEEN = 400
"""Samples that one frame is computed from."""
_ENCODER, _HEADS, _LAYERS = "wavlm_model.", "proj_layer.", "layer_weights."
_ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}

Samples = npt.NDArray[np.float32]
Scores = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """What the published configuration says beside the tensors: the heads' form and each axis' mean and deviation."""

    activation: str
    layer_norm: bool
    dropout: bool
    normalise: bool
    scale: Mapping[str, tuple[float, float]]

    @classmethod
    def read(cls, config: Mapping[str, Any], transform: Mapping[str, Any] | None = None) -> Settings:
        """Read a configuration. Raises ``ValueError`` or ``KeyError`` for one of another model."""
        target = config["target_transform"] if transform is None else transform
        settings = cls(
            str(config.get("proj_act_fn", "gelu")).lower(),
            bool(config["proj_ln"]),
            float(config.get("proj_dropout", 0.0)) > 0,
            bool(config.get("normalize_embed", True)),
            {axis: (float(target[axis]["mean"]), float(target[axis]["std"])) for axis in AXES},
        )
        if settings.activation not in _ACTIVATIONS or not config.get("use_weighted_layer_sum", True):
            raise ValueError(f"not a configuration of Audiobox Aesthetics that is supported: {dict(config)}")
        return settings


class Audiobox:
    """The network on one device, in float32. ``state`` is a published state dict without a prefix.

    Raises ``ValueError``, ``KeyError`` or ``RuntimeError`` for tensors that do not fit.
    """

    def __init__(self, state: hf.State, settings: Settings, device: torch.device | str = "cpu") -> None:
        self._encoder = WavLM(_under(state, _ENCODER), device)
        self._settings, self._device = settings, device
        layers = 1 + hf.depth(state, f"{_ENCODER}encoder.layers.")
        self._mix: dict[str, torch.Tensor] = {}
        self._heads: dict[str, nn.Module] = {}
        for axis in AXES:
            weights = state[f"{_LAYERS}{axis}"].float()
            if weights.shape != (layers,):
                raise ValueError(f"{_LAYERS}{axis} has the shape {tuple(weights.shape)}, expected ({layers},)")
            self._mix[axis] = weights.softmax(dim=0).to(device)
            self._heads[axis] = _head(_under(state, f"{_HEADS}{axis}."), settings).to(device)
        rest = [key for key in state if not key.startswith((_ENCODER, *_prefixes()))]
        if rest:
            raise ValueError(f"unexpected tensors: {', '.join(sorted(rest)[:5])}")

    def windows(self, samples: Samples) -> tuple[list[Scores], list[int]]:
        """Return the scores of each window of 10 s of ``(N,)`` samples at 16 kHz, and the samples in each.

        One window at a time: the scores of a clip do not depend on how it is batched.
        """
        scores, counts = [], []
        for start in range(0, len(samples), WINDOW):
            part = samples[start : start + WINDOW]
            scores.append(self._window(part))
            counts.append(len(part))
        return scores, counts

    def _window(self, samples: Samples) -> Scores:
        # A frame is padding only when all samples that it stands for are; what only such frames see is left out.
        kept = -(-len(samples) // _FRAME)
        padded = torch.zeros(min(WINDOW, (kept - 1) * _FRAME + _SEEN))
        padded[: len(samples)] = torch.from_numpy(np.ascontiguousarray(samples))
        with torch.inference_mode():
            frames = self._encoder.frames(padded, WINDOW)
            means = self._means(self._encoder.hidden_states(frames[:kept]))
            return {axis: self._axis(axis, mean) for axis, mean in means.items()}

    def _means(self, states: Iterable[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return each axis' mix of the layers, averaged over time: one ``(width,)`` per axis."""
        # (layers, width): averaging over time first lets every axis mix the same few vectors
        means = torch.stack([state.mean(dim=0) for state in states])
        return {axis: weights @ means for axis, weights in self._mix.items()}

    def _axis(self, axis: str, embedding: torch.Tensor) -> float:
        if self._settings.normalise:
            embedding = F.normalize(embedding, dim=0)
        mean, std = self._settings.scale[axis]
        # The head predicts a standardised score.
        return float(self._heads[axis](embedding)) * std + mean


def clip_scores(windows: list[Scores], counts: list[int]) -> Scores:
    """Return the mean of the windows' scores, each weighted by the samples in it."""
    total = sum(counts)
    return {
        axis: sum(count * scores[axis] for scores, count in zip(windows, counts, strict=True)) / total for axis in AXES
    }


def _prefixes() -> list[str]:
    return [f"{_HEADS}{axis}." for axis in AXES] + [f"{_LAYERS}{axis}" for axis in AXES]


def _under(state: hf.State, prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in hf.pick(state, [prefix]).items()}


def _head(state: hf.State, settings: Settings) -> nn.Module:
    """Return ``n - 1`` times (linear, norm, activation, dropout) and a linear, numbered as they were trained."""
    width = state["0.weight"].shape[1]
    # On the meta device, so that no weight is drawn at random before it is replaced.
    with torch.device("meta"):
        layers: list[nn.Module] = []
        while len(layers) < hf.depth(state, "") - 1:
            layers.append(nn.Linear(width, width))
            if settings.layer_norm:
                layers.append(nn.LayerNorm(width))
            layers.append(_ACTIVATIONS[settings.activation]())
            if settings.dropout:
                # The published numbering counts the dropout, which does nothing here.
                layers.append(nn.Identity())
        head = nn.Sequential(*layers, nn.Linear(width, 1))
    return hf.assign(head, state)


def read(path: Path, config: Path | None = None, *, device: torch.device | str) -> Audiobox:
    """Return the network of a file of weights and its configuration, or of a torch file that holds both."""
    return Audiobox(*_contents(path, config), device)


def _contents(path: Path, config: Path | None) -> tuple[hf.State, Settings]:
    if config is not None:
        return hf.read_state(path), Settings.read(json.loads(config.read_text(encoding="utf-8")))
    state = {key.removeprefix("model."): value for key, value in hf.read_state(path, "state_dict").items()}
    held = read_value(path)
    return state, Settings.read(held["model_cfg"], held["target_transform"])
