"""Deterministic inputs for the oracles that need no network weights.

Companion of oracle_fill.py: feature sets for distribution distances, optical-flow pairs and
physics scenes. Every function depends only on its arguments (numpy PCG64 streams), so an oracle
file can name a call instead of storing the array. Each oracle that uses one also records the
sha256 of the array bytes (`array_sha256`), so a drifting recipe is noticed before a metric is
blamed.
"""

from __future__ import annotations

import hashlib

import numpy as np


def array_sha256(array: np.ndarray) -> str:
    """sha256 of dtype, shape and C-order bytes of an array."""
    a = np.ascontiguousarray(array)
    head = f"{a.dtype.str}|{a.shape}|".encode()
    return hashlib.sha256(head + a.tobytes()).hexdigest()


def _rng(base: int, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(base + seed))


def feature_set(
    n: int,
    dim: int,
    seed: int,
    *,
    offset: float = 0.0,
    scale: float = 1.0,
    decay: float = 0.0,
    rank: int | None = None,
) -> np.ndarray:
    """(n, dim) float64 features: offset + scale * (Z @ diag(s)) with Z standard normal.

    s_j = (1 + j) ** -decay, and s_j = 0 for j >= rank when rank is given (singular covariance).
    """
    z = _rng(3000, seed).standard_normal((n, dim))
    s = (1.0 + np.arange(dim)) ** -decay
    if rank is not None:
        s[rank:] = 0.0
    return offset + scale * z * s


def flow_pair(
    count: int, height: int, width: int, seed: int, *, noise: float = 0.05, gap: float = 0.6
) -> tuple[np.ndarray, np.ndarray]:
    """Two (count, height, width, 2) float32 flow stacks, "reference" and "generated".

    Frame k of the reference is a pan + zoom + roll about the centre plus a faster square object; the
    generated one perturbs each coefficient by up to `gap` (growing with k) and adds noise.
    """
    rng = _rng(4000, seed)
    y, x = np.meshgrid(np.arange(height) - height / 2, np.arange(width) - width / 2, indexing="ij")
    ref, gen = [], []
    for k in range(count):
        c = rng.uniform(-1, 1, 4) * np.array([3.0, 2.0, 0.06, 0.04])
        d = c + gap * (0.3 + 0.7 * k / max(1, count - 1)) * rng.uniform(-1, 1, 4) * np.array([3.0, 2.0, 0.06, 0.04])
        for store, q, jump in ((ref, c, 6.0), (gen, d, 6.0 - 2.0 * k / max(1, count - 1))):
            u = q[0] + q[2] * x - q[3] * y
            v = q[1] + q[2] * y + q[3] * x
            top, left = height // 4, (width // 5) + 2 * k
            box = (np.abs(y + height / 2 - top - height // 8) < height // 8) & (
                np.abs(x + width / 2 - left - width // 8) < width // 8
            )
            u = np.where(box, u + jump, u)
            flow = np.stack([u, v], axis=-1) + rng.normal(0.0, noise, (height, width, 2))
            store.append(flow.astype(np.float32))
    return np.stack(ref), np.stack(gen)


def physics_scene(
    frames: int, height: int, width: int, seed: int, *, shift: float = 0.0, speed: float = 1.0, noise: float = 1.0
) -> np.ndarray:
    """(T, H, W, 3) uint8 RGB clip: static textured background, a falling ball and a sliding block.

    `shift` moves the start of both bodies (pixels), `speed` scales their motion, `noise` is the
    standard deviation of sensor noise in grey levels. The background depends only on height, width
    and seed // 10, so takes of one scene (seeds 10k .. 10k+9) share it.
    """
    bg = _rng(5000, seed // 10)
    y, x = np.arange(height)[:, None], np.arange(width)
    a, b = bg.uniform(0.02, 0.09, 2)
    colours = 110 + 40 * np.sin(a * x + 0.3), 120 + 35 * np.cos(b * y), 100 + 30 * np.sin(a * x + b * y)
    base = np.stack(np.broadcast_arrays(*colours), axis=-1)
    ball, block = bg.uniform(170, 250, 3), bg.uniform(10, 70, 3)
    rng = _rng(6000, seed)
    jit = rng.uniform(-1.5, 1.5, 4)
    out = np.empty((frames, height, width, 3), dtype=np.uint8)
    for k in range(frames):
        t = speed * k / max(1, frames - 1)
        img = base.copy()
        cx, cy = (
            0.3 * width + shift + jit[0] + 0.1 * width * t,
            0.12 * height + jit[1] + 0.7 * height * min(1.0, t * 1.4) ** 2,
        )
        img[((x - cx) ** 2 + (y - cy) ** 2) < (0.09 * height) ** 2] = ball
        bx, by = 0.85 * width - shift + jit[2] - 0.5 * width * t, 0.72 * height + jit[3]
        img[(np.abs(x - bx) < 0.07 * width) & (np.abs(y - by) < 0.08 * height)] = block
        if noise > 0:
            img += rng.normal(0.0, noise, img.shape)
        out[k] = np.clip(np.rint(img, out=img), 0, 255, out=img)
    return out
