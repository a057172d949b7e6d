"""How two optical flow fields differ, per frame pair and over time. Flow is ``(H, W, 2)`` in pixels per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Protocol = Literal["fastvideo", "v2"]
MOVING = 0.5
"""Pixels per frame above which a direction means something."""
_ANGLES, _SPEEDS = 36, 20


@dataclass(frozen=True)
class FlowOptions:
    """Which pixels count.

    ``"fastvideo"`` drops those above the ``max_mag_pct`` percentile; ``"v2"`` keeps them and bins both flows alike
    in ``flow_kl_2d``.
    """

    protocol: Protocol = "v2"
    min_mag: float = 0.5
    max_mag_pct: float = 80.0
    grid_size: int = 8


def compare_flows(reference: Array, generated: Array, options: FlowOptions) -> dict[str, float]:
    """Return the twelve values of one frame pair; all are errors but ``mf_cosine`` and ``mf_mag_ratio``."""
    a, b = reference.astype(np.float32, copy=False), generated.astype(np.float32, copy=False)
    speed_a, speed_b = _length(a), _length(b)
    mask = _mask(np.maximum(speed_a, speed_b), options)
    error = np.hypot(a[..., 0] - b[..., 0], a[..., 1] - b[..., 1])
    inside = error[mask]
    cells = _cells(error, mask, options.grid_size)
    # FastVideo sums in float32, whose rounding shows in the fifth digit.
    wide = np.float32 if options.protocol == "fastvideo" else np.float64
    return {
        **_mean_flow(a[mask].mean(axis=0, dtype=wide), b[mask].mean(axis=0, dtype=wide)),
        "pixel_epe_mean": float(inside.mean(dtype=np.float64)),
        "pixel_epe_max": float(inside.max()),
        "px_angle_rmse": _angle_rmse(a, b, speed_a, speed_b, mask),
        "grid_epe_mean": float(cells.mean()),
        "grid_epe_max": float(cells.max()),
        "fl_all": float(((inside > 3) & (inside > 0.05 * speed_a[mask])).mean()),
        "foe_dist": float(np.linalg.norm(focus(a) - focus(b))),
        "flow_kl_2d": _divergence(a, b, speed_a, speed_b, options.protocol),
    }


def _mask(speed: Array, options: FlowOptions) -> Array:
    mask: Array = speed >= options.min_mag
    if options.protocol == "fastvideo":
        mask &= speed <= np.percentile(speed, options.max_mag_pct)
    return mask if mask.any() else np.ones_like(mask)


def _mean_flow(a: Array, b: Array) -> dict[str, float]:
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if norm_a < 0.1 and norm_b < 0.1:
        angle, cosine = 0.0, 1.0
    elif norm_a < 0.1 or norm_b < 0.1:
        angle, cosine = 90.0, 0.0
    else:
        cosine = float(np.clip(a @ b / (norm_a * norm_b), -1, 1))
        angle = float(np.degrees(np.arccos(cosine)))
    return {
        "mf_epe": float(np.linalg.norm(a - b)),
        "mf_angle_err": angle,
        "mf_cosine": cosine,
        "mf_mag_ratio": norm_b / norm_a if norm_a > 1e-6 else 1.0,
    }


def _angle_rmse(a: Array, b: Array, speed_a: Array, speed_b: Array, mask: Array) -> float:
    both = mask & (speed_a > MOVING) & (speed_b > MOVING)
    if not both.any():
        return 0.0
    first, second = a[both].astype(np.float64), b[both].astype(np.float64)
    cross = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    angles = np.degrees(np.arctan2(np.abs(cross), (first * second).sum(axis=1)))
    return float(np.sqrt((angles**2).mean()))


def _cells(error: Array, mask: Array, grid: int) -> Array:
    """Return the mean error of each cell: of its masked pixels, of all when it has none."""
    height, width = error.shape[0] // grid, error.shape[1] // grid
    if not height or not width:
        raise ValueError(f"a {error.shape[0]}x{error.shape[1]} flow has no {grid}x{grid} grid")
    shape = (grid, height, grid, width)
    cut = error[: grid * height, : grid * width].astype(np.float64).reshape(shape)
    kept = mask[: grid * height, : grid * width].reshape(shape)
    counts = kept.sum(axis=(1, 3))
    masked = (cut * kept).sum(axis=(1, 3)) / np.maximum(counts, 1)
    means: Array = np.where(counts > 0, masked, cut.mean(axis=(1, 3)))
    return means


def focus(flow: Array) -> Array:
    """Return the ``(x, y)`` focus of expansion; the centre of the frame when fewer than ten points move."""
    height, width = flow.shape[:2]
    y, x = np.meshgrid(np.arange(4, height, 8), np.arange(4, width, 8), indexing="ij")
    points = flow[4::8, 4::8].astype(np.float64)
    u, v = points[..., 0], points[..., 1]
    moving = np.hypot(u, v) > MOVING
    if moving.sum() < 10:
        return np.array([width / 2, height / 2])
    u, v, x, y = u[moving], v[moving], x[moving], y[moving]
    found: Array = np.linalg.lstsq(np.stack([v, -u], axis=1), v * x - u * y, rcond=None)[0]
    return found


def _divergence(a: Array, b: Array, speed_a: Array, speed_b: Array, protocol: Protocol) -> float:
    moving_a, moving_b = speed_a >= MOVING, speed_b >= MOVING
    few_a, few_b = moving_a.sum() < 10, moving_b.sum() < 10
    if (few_a or few_b) if protocol == "fastvideo" else (few_a and few_b):
        return 0.0
    tops = [max(float(s.max()), 1.5) for s in (speed_a, speed_b)]
    if protocol == "v2":
        tops = [max(tops)] * 2
    p = _histogram(a[moving_a], speed_a[moving_a], tops[0], protocol)
    q = _histogram(b[moving_b], speed_b[moving_b], tops[1], protocol)
    return float((p * np.log(p / q)).sum())


def _histogram(flow: Array, speed: Array, top: float, protocol: Protocol) -> Array:
    """Return the smoothed shares of directions and speeds, ``numpy.histogram2d``'s counts.

    The angle is taken in float64, the speed in float32. With ``"fastvideo"`` the topmost edge comes from a float32
    logarithm.
    """
    angle = np.arctan2(flow[:, 1], flow[:, 0], dtype=np.float64)
    log_top = np.log10(np.float32(top)) if protocol == "fastvideo" else np.log10(top)
    edges = [np.linspace(-np.pi, np.pi, _ANGLES + 1), np.logspace(np.log10(MOVING), log_top, _SPEEDS + 1)]
    if protocol == "fastvideo":
        # The last edge may round to less than the fastest pixel, which then is in no bin.
        inside = speed <= edges[1][-1]
        angle, speed = angle[inside], speed[inside]
    which = [np.searchsorted(e, v, side="right") - 1 for e, v in zip(edges, (angle, speed), strict=True)]
    row, column = np.clip(which[0], 0, _ANGLES - 1), np.clip(which[1], 0, _SPEEDS - 1)
    counts = np.bincount(row * _SPEEDS + column, minlength=_ANGLES * _SPEEDS) + 1.0
    smoothed: Array = counts / counts.sum()
    return smoothed


def summarise(frames: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return mean, population deviation, maximum and area of every value, and when the error takes off."""
    summary: dict[str, Any] = {"n_frames": len(frames)}
    if not frames:
        return summary
    for key in frames[0]:
        series = np.array([frame[key] for frame in frames], dtype=np.float64)
        summary[f"{key}_mean"] = float(series.mean())
        summary[f"{key}_std"] = float(series.std())
        summary[f"{key}_max"] = float(series.max())
        summary[f"{key}_auc"] = float(np.trapezoid(series) / max(len(series) - 1, 1))
    errors = np.array([frame["pixel_epe_mean"] for frame in frames], dtype=np.float64)
    window = min(5, len(errors))
    limit = max(2 * float(np.median(errors[:window])), 1.0)
    late = np.flatnonzero(np.convolve(errors, np.ones(window) / window, mode="valid") > limit)
    summary["divergence_onset_frame"] = int(late[0]) if len(late) else None
    summary["divergence_threshold"] = limit
    return summary


def _length(flow: Array) -> Array:
    length: Array = np.sqrt(flow[..., 0] ** 2 + flow[..., 1] ** 2)
    return length
