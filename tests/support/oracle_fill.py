"""Deterministic stand-ins for published checkpoints and media.

No hub is reachable in tests, so parity is proven without real weights: every tensor of a
published checkpoint's state dict is filled by a rule that depends only on its key, its shape
and a salt. The recorded oracle values under oracles/ were produced by the reference
implementations with exactly these tensors and exactly these inputs.

    from oracle_fill import fill_state_dict, clip_uint8, tone
    sd = fill_state_dict({"conv.weight": (64, 3, 7, 7)}, salt="open")

Rule, in order, for a float tensor `key` of `shape` (n = standard normal from
numpy.random.Generator(PCG64(crc32((salt + "/" + key).encode("utf-8")))), float64 then cast):
  key ends with "running_var"            1 + 0.1 * |n|
  key ends with "running_mean"           0.1 * n
  key ends with "logit_scale"/"logit_scale_a"/"logit_scale_t"/"temperature"
                                         log(100) for logit_scale*, 1.0 for temperature
  len(shape) <= 1 and key ends with "weight" or "gamma" or "scale"      1 + 0.02 * n
  len(shape) <= 1                        0.02 * n
  "embed" in key or key ends with "pos_emb"/"cls_token"/"positional_embedding"      0.02 * n
  otherwise                              n / sqrt(prod(shape[1:]))
Integer and bool tensors (position ids, relative index tables, num_batches_tracked) are not
filled: keep what the freshly built module holds.
"""

from __future__ import annotations

import hashlib
import math
import zlib

import numpy as np

from tests.support.kept_files import kept_array

_LARGE = 1 << 18  # values that take milliseconds to draw: drawn once in a run of tests
_EMBEDDINGS = ("pos_emb", "cls_token", "positional_embedding")


def _normal(key: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    seed = zlib.crc32(f"{salt}/{key}".encode())
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def fill_array(key: str, shape: tuple[int, ...], salt: str = "open") -> np.ndarray:
    """Return the float32 array that stands for tensor `key` of `shape` under `salt`."""
    if math.prod(shape) < _LARGE:
        return _filled(key, shape, salt)
    digest = hashlib.sha256(f"{salt}/{key}/{shape}".encode()).hexdigest()
    return kept_array(digest, lambda: _filled(key, shape, salt))


def _filled(key: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    n = _normal(key, tuple(shape), salt)
    if key.endswith("running_var"):
        out = 1 + 0.1 * np.abs(n)
    elif key.endswith("running_mean"):
        out = 0.1 * n
    elif key.split(".")[-1].startswith("logit_scale"):
        out = np.full(shape, math.log(100.0))
    elif key.endswith("temperature"):
        out = np.ones(shape)
    elif len(shape) <= 1 and key.endswith(("weight", "gamma", "scale")):
        out = 1 + 0.02 * n
    elif len(shape) <= 1 or "embed" in key or key.endswith(_EMBEDDINGS):
        out = 0.02 * n
    else:  # one pass: computed in float64 and rounded once
        out = np.empty(shape, np.float32)
        np.divide(n, math.sqrt(max(1, math.prod(shape[1:]))), out=out, casting="same_kind")
    return np.asarray(out, dtype=np.float32).reshape(shape)


def fill_state_dict(shapes: dict[str, tuple[int, ...]], salt: str = "open"):
    """Return {key: torch.float32 tensor} for {key: shape}."""
    import torch

    return {k: torch.from_numpy(fill_array(k, tuple(s), salt)) for k, s in shapes.items()}


def fill_module(module, salt: str = "open", prefix: str = ""):
    """Fill every float parameter and buffer of a torch module in place; return the module."""
    import torch

    sd = module.state_dict()
    for key, value in sd.items():
        if torch.is_floating_point(value):
            sd[key] = torch.from_numpy(fill_array(prefix + key, tuple(value.shape), salt)).to(value.dtype)
    module.load_state_dict(sd)
    return module


def clip_uint8(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a (T, H, W, 3) uint8 clip: two moving gratings, a moving disc and mild noise.

    Smooth, textured and in motion, so that resizing, flow and temporal metrics all have
    something to measure. Depends only on the arguments.
    """
    # Each colour is computed over the axes that it varies along; the bits are those of the whole grid.
    t, y, x = np.arange(frames)[:, None, None], np.arange(height)[:, None], np.arange(width)
    rng = np.random.Generator(np.random.PCG64(1000 + seed))
    phase, angle, speed, radius = (
        rng.uniform(0, 2 * np.pi),
        rng.uniform(0, np.pi),
        rng.uniform(0.5, 2.5),
        rng.uniform(0.12, 0.3),
    )
    u = np.cos(angle) * x + np.sin(angle) * y
    red = 0.5 + 0.35 * np.sin(2 * np.pi * (u - speed * t) / (0.31 * width) + phase)
    green = 0.5 + 0.35 * np.sin(2 * np.pi * (y + 0.5 * speed * t) / (0.23 * height))
    diagonal = np.arange(height + width - 1)
    blue = (0.5 + 0.25 * np.cos(2 * np.pi * diagonal / (0.5 * (height + width)) + 0.1 * t[:, 0]))[:, y + x]
    cx = width * (0.3 + 0.4 * (t / max(1, frames - 1)))
    cy = height * (0.5 + 0.2 * np.sin(0.3 * t + phase))
    disc = ((x - cx) ** 2 + (y - cy) ** 2) < (radius * min(height, width)) ** 2
    video = rng.normal(0.0, 0.01, (frames, height, width, 3))
    for channel, (inside, outside) in enumerate(((0.85, red), (0.2, green), (0.3, blue))):
        video[..., channel] += np.where(disc, inside, outside)
    video *= 255
    return np.clip(np.rint(video, out=video), 0, 255, out=video).astype(np.uint8)


def tone(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Return mono float32 audio in [-1, 1]: a chirp, a beating pair of tones and soft noise."""
    t = np.arange(round(seconds * rate)) / rate
    rng = np.random.Generator(np.random.PCG64(2000 + seed))
    f0 = rng.uniform(180, 420)
    chirp = 0.3 * np.sin(2 * np.pi * (f0 * t + 0.5 * rng.uniform(50, 300) * t**2))
    beat = 0.2 * np.sin(2 * np.pi * 2.1 * f0 * t) * np.sin(2 * np.pi * 3.0 * t)
    noise = 0.02 * rng.standard_normal(t.shape)
    return (chirp + beat + noise).astype(np.float32)
