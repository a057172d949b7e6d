"""How two optical flow fields differ, per frame pair and over time. Flow is ``(H, W, 2)`` in pixels per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.stats.flow_histogram import MOVING, Histogram, divergence, exact_edges, fastvideo_edges

Array = npt.NDArray[Any]
Protocol = Literal["fastvideo", "v2"]
_BLOCK = 1 << 16
"""Pixels at a time."""


@dataclass(frozen=True)
class FlowOptions:
    """Which pixels count.

    ``"fastvideo"`` drops those above the ``max_mag_pct`` percentile; ``"v2"`` keeps them and bins both flows alike
    in ``flow_kl_2d``. Both give one value on every CPU. FastVideo itself does not: with its own edges the fastest
    pixel of a flow is in a bin or in none, as the CPU rounds a float32 logarithm. ``"fastvideo"`` rounds as numpy
    does with AVX-512.
    """

    protocol: Protocol = "v2"
    min_mag: float = 0.5
    max_mag_pct: float = 80.0
    grid_size: int = 8


def compare_flows(reference: Array, generated: Array, options: FlowOptions) -> dict[str, float]:
    """Return the twelve values of one frame pair; all are errors but ``mf_cosine`` and ``mf_mag_ratio``.

    Raises ``ValueError`` for flow that is not finite, or smaller than the grid.
    """
    height, width = reference.shape[:2]
    if min(height, width) < options.grid_size:
        raise ValueError(f"a {height}x{width} flow has no {options.grid_size}x{options.grid_size} grid")
    speeds = _speed(reference), _speed(generated)
    fastest = np.maximum(*speeds)
    if not np.isfinite(fastest.max()):
        raise ValueError("the flow is not finite")
    mask = _mask(fastest, options)
    totals = _Totals(reference.shape, speeds, options)
    step = max(1, _BLOCK // width)
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        totals.add(rows, mask[rows], reference[rows], generated[rows])
    distance = float(np.linalg.norm(focus(reference) - focus(generated)))
    return {**totals.values(), "foe_dist": distance, "flow_kl_2d": totals.divergence()}


class _Totals:
    """What the twelve values are made of, summed over blocks of rows that stay in the processor's cache."""

    def __init__(self, shape: tuple[int, ...], speeds: tuple[Array, Array], options: FlowOptions) -> None:
        self._speeds, self._options = speeds, options
        self._seed = options.protocol == "fastvideo"
        tops = [speed.max() for speed in speeds]
        edges = [fastvideo_edges(top) for top in tops] if self._seed else 2 * [exact_edges(float(max(tops)))]
        # Under "v2" both flows are binned by the same edges, so that bins correspond.
        self._histograms = [Histogram(each) for each in edges]
        # FastVideo sums in float32, one pixel after another, whose rounding shows in the fifth digit.
        self._sums = np.zeros((2, 2), np.float32 if self._seed else np.float64)
        self._count = self._turned = self._outliers = 0
        self._error = self._largest = self._turns = 0.0
        # Per row and column of the grid: masked pixels, their error, the error of all pixels.
        self._rows = np.zeros((3, shape[0], options.grid_size))

    def add(self, rows: slice, mask: Array, reference: Array, generated: Array) -> None:
        """Count some rows of both fields."""
        first, second = _planes(reference), _planes(generated)
        speed_a, speed_b = (speed[rows] for speed in self._speeds)
        error = np.sqrt((first[0] - second[0]) ** 2 + (first[1] - second[1]) ** 2)
        inside = error * mask
        self._count += int(np.count_nonzero(mask))
        self._error += float(inside.sum(dtype=np.float64))
        self._largest = max(self._largest, float(inside.max()))
        # KITTI's outlier: more than 3 pixels and more than 5 % of the true motion off.
        self._outliers += int(np.count_nonzero((inside > 3) & (inside > 0.05 * speed_a)))
        for sums, planes in zip(self._sums, (first, second), strict=True):
            self._add_mean(sums, planes, mask)
        self._add_cells(rows, mask, inside, error)
        angles = [np.arctan2(v, u, dtype=np.float64) for u, v in (first, second)]
        fields = zip(self._histograms, angles, (speed_a, speed_b), (first, second), strict=True)
        for histogram, angle, speed, planes in fields:
            histogram.add(angle, speed, planes)
        both = mask & (speed_a > MOVING) & (speed_b > MOVING)
        # Angles differ by at most half a turn, whichever way round is shorter.
        turn = np.abs(angles[1] - angles[0])
        turn = np.minimum(turn, 2 * np.pi - turn) * both
        self._turned += int(np.count_nonzero(both))
        self._turns += float(np.vdot(turn, turn))

    def _add_mean(self, sums: Array, planes: tuple[Array, Array], mask: Array) -> None:
        for i, plane in enumerate(planes):
            if not self._seed:
                sums[i] += (plane * mask).sum(dtype=np.float64)
            elif len(kept := plane[mask]):
                # Starts from the sum so far, so that blocks give the bits of one long running sum.
                kept[0] += sums[i]
                sums[i] = np.add.accumulate(kept)[-1]

    def _add_cells(self, rows: slice, *planes: Array) -> None:
        grid = self._options.grid_size
        width = planes[0].shape[1] // grid
        for total, plane in zip(self._rows, planes, strict=True):
            # (rows, cells, pixels of a cell); what is left over at the right edge belongs to no cell
            total[rows] = plane[:, : grid * width].reshape(-1, grid, width).sum(axis=2, dtype=np.float64)

    def values(self) -> dict[str, float]:
        """Return all values but those that follow from the shape of the flow."""
        means = (self._sums / self._count).astype(self._sums.dtype)
        cells = self._cells()
        turned = np.degrees(np.sqrt(self._turns / self._turned)) if self._turned else 0.0
        return {
            **_mean_flow(*means),
            "pixel_epe_mean": self._error / self._count,
            "pixel_epe_max": self._largest,
            "px_angle_rmse": float(turned),
            "grid_epe_mean": float(cells.mean()),
            "grid_epe_max": float(cells.max()),
            "fl_all": self._outliers / self._count,
        }

    def divergence(self) -> float:
        """Return how much the distributions of directions and speeds differ."""
        first, second = self._histograms
        return divergence(first, second, shared_bins=not self._seed)

    def _cells(self) -> Array:
        """Return the mean error of each cell: of its masked pixels, of all when it has none."""
        grid, (height, width) = self._options.grid_size, self._speeds[0].shape
        # (3, cells down, rows of a cell, cells across)
        cut = self._rows[:, : height // grid * grid].reshape(3, grid, height // grid, grid).sum(axis=2)
        counts, inside, whole = cut
        means: Array = np.where(counts > 0, inside / np.maximum(counts, 1), whole / (height // grid * (width // grid)))
        return means


def _planes(flow: Array) -> tuple[Array, Array]:
    """Return ``u`` and ``v`` in float32: contiguous planes are several times faster than pairs."""
    return np.ascontiguousarray(flow[..., 0], np.float32), np.ascontiguousarray(flow[..., 1], np.float32)


def _speed(flow: Array) -> Array:
    """Return the length of each pixel's motion in float32."""
    speed = np.empty(flow.shape[:2], np.float32)
    step = max(1, _BLOCK // flow.shape[1])
    for start in range(0, len(flow), step):
        u, v = _planes(flow[start : start + step])
        np.sqrt(u * u + v * v, out=speed[start : start + step])
    return speed


def _mask(speed: Array, options: FlowOptions) -> Array:
    mask: Array = speed >= options.min_mag
    if options.protocol == "fastvideo":
        # The percentile is of all pixels, before the slow ones are left out.
        mask &= speed <= np.percentile(speed, options.max_mag_pct)
    # A still picture has no pixel above min_mag: all count then.
    return mask if mask.any() else np.ones_like(mask)


def _mean_flow(a: Array, b: Array) -> dict[str, float]:
    norm_a, norm_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    # The direction of a mean below 0.1 pixels is noise.
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


def focus(flow: Array) -> Array:
    """Return the ``(x, y)`` focus of expansion; the centre of the frame when fewer than ten points move."""
    # Every eighth pixel, from the middle of its block.
    height, width = flow.shape[:2]
    y, x = np.meshgrid(np.arange(4, height, 8), np.arange(4, width, 8), indexing="ij")
    points = flow[4::8, 4::8].astype(np.float64)
    u, v = points[..., 0], points[..., 1]
    moving = np.hypot(u, v) > MOVING
    if moving.sum() < 10:
        return np.array([width / 2, height / 2])
    u, v, x, y = u[moving], v[moving], x[moving], y[moving]
    # A point (x, y) that moves by (u, v) away from the focus satisfies v x - u y = v fx - u fy.
    found: Array = np.linalg.lstsq(np.stack([v, -u], axis=1), v * x - u * y, rcond=None)[0]
    return found


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
    # The first frames say how large errors are at the start; a limit below one pixel would be noise.
    limit = max(2 * float(np.median(errors[:window])), 1.0)
    late = np.flatnonzero(np.convolve(errors, np.ones(window) / window, mode="valid") > limit)
    summary["divergence_onset_frame"] = int(late[0]) if len(late) else None
    summary["divergence_threshold"] = limit
    return summary
