"""A weight-free descriptor of motion, contrast and colour, for distributional gates on few clips."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

from pytest_vidmetrics.core.errors import IncompatibleSampleError

_GRID = (48, 64)
_ORIENTATIONS = 4
_PERIOD = 8.0
_FREQUENCIES = (0.0, 0.125, -0.125, 0.25, -0.25)
_TAPS = 7
_SMALLEST = 16
_TINY = 1e-6
_COLOUR_GAIN = 4.0


class MotionEnergy:
    """Describe a clip by oriented spatio-temporal energy and colour, contrast and change statistics.

    **Not comparable with I3D scores**: a Fréchet distance over these numbers is on another scale, sees no
    semantics, and was chosen so that few clips on a CPU suffice. It grows with blur, noise, blocking, dropped,
    frozen and shuffled frames, speed-up and colour shift (``benchmarks/corruption_ladder.py`` prints by how much).

    The 37 numbers of a clip, in order:

    - 20 log energies of quadrature pairs tuned to 4 orientations and 5 temporal frequencies (0, 1/8 and 1/4
      cycles per frame in both directions) on luma averaged to 48x64, after Adelson & Bergen (1985),
      "Spatiotemporal energy models for the perception of motion".
    - 6 means and standard deviations of luma and two colour opponents.
    - 5 spatial statistics at full size: log gradient energy at scales 1, 2 and 4, log high-pass energy, and how
      much stronger the steps at multiples of 8 pixels are than those beside them (blocking).
    - 6 temporal statistics: log change over 1, 2 and 4 frames, share of still frames, log jerk relative to
      change, spread of the change over time.

    Deterministic: float32 on the frames' device, no random numbers, no batch effects.
    """

    dimension = _ORIENTATIONS * len(_FREQUENCIES) + 6 + 5 + 6
    minimum_frames = _TAPS

    def describe(self, frames: torch.Tensor) -> np.ndarray:
        """Return ``(37,)`` float64 for ``(T, 3, H, W)`` uint8 frames.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for fewer than 7 frames, and for
        frames smaller than 16x16.
        """
        if len(frames) < self.minimum_frames:
            raise IncompatibleSampleError(
                f"the clip has {len(frames)} frames, motion_energy needs at least {self.minimum_frames}"
            )
        height, width = frames.shape[2:]
        if min(height, width) < _SMALLEST:
            raise IncompatibleSampleError(
                f"the frames are {width}x{height}, motion_energy needs at least {_SMALLEST}x{_SMALLEST}"
            )
        rgb = frames.float().div_(255)
        red, green, blue = rgb.unbind(dim=1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        parts = [
            *_oriented_energy(luma),
            *_colour(luma, red - green, 0.5 * (red + green) - blue),
            *_spatial(luma),
            *_temporal(luma),
        ]
        return np.asarray(parts, dtype=np.float64)


def _log(energy: torch.Tensor) -> float:
    return math.log10(float(energy) + _TINY)


def _oriented_energy(luma: torch.Tensor) -> list[float]:
    """Return the mean log energy of each orientation and temporal frequency."""
    small = F.interpolate(luma[:, None], size=_GRID, mode="area")
    small = small - small.mean(dim=(2, 3), keepdim=True)
    response = F.conv2d(small, _gabors().to(small))
    even, odd = response[:, :_ORIENTATIONS], response[:, _ORIENTATIONS:]
    steps = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    window = torch.exp(-(steps**2) / (2 * (_TAPS / 4) ** 2))
    window = window / window.sum()
    energies: list[float] = []
    for orientation in range(_ORIENTATIONS):
        a, b = even[:, orientation].flatten(1), odd[:, orientation].flatten(1)
        for frequency in _FREQUENCIES:
            phase = 2 * math.pi * frequency * steps
            cosine, sine = (window * phase.cos()).to(a), (window * phase.sin()).to(a)
            real = _along_time(a, cosine) + _along_time(b, sine)
            imaginary = _along_time(b, cosine) - _along_time(a, sine)
            energies.append(_log((real.square() + imaginary.square()).mean()))
    return energies


def _along_time(signal: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Correlate ``(T, P)`` with taps along time, valid positions only."""
    count = len(signal) - len(taps) + 1
    total = signal[:count] * taps[0]
    for k in range(1, len(taps)):
        total = total + signal[k : k + count] * taps[k]
    return total


def _gabors() -> torch.Tensor:
    """Return ``(2*orientations, 1, 13, 13)`` kernels: all even phases, then all odd ones."""
    steps = torch.arange(13, dtype=torch.float64) - 6
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * 3.0**2))
    kernels = []
    for wave in (torch.cos, torch.sin):
        for index in range(_ORIENTATIONS):
            angle = math.pi * index / _ORIENTATIONS
            kernel = envelope * wave(2 * math.pi / _PERIOD * (x * math.cos(angle) + y * math.sin(angle)))
            kernel = kernel - kernel.mean()
            kernels.append(kernel / kernel.norm())
    return torch.stack(kernels)[:, None]


def _colour(*planes: torch.Tensor) -> list[float]:
    return [_COLOUR_GAIN * float(v) for plane in planes for v in (plane.mean(), plane.std(correction=0))]


def _spatial(luma: torch.Tensor) -> list[float]:
    """Return gradient energy at three scales, high-pass energy, and the contrast of an 8-pixel grid."""
    values: list[float] = []
    for scale in (1, 2, 4):
        plane = F.avg_pool2d(luma[:, None], scale) if scale > 1 else luma[:, None]
        dx, dy = plane.diff(dim=3), plane.diff(dim=2)
        values.append(_log(dx.square().mean() + dy.square().mean()))
    smooth = F.avg_pool2d(luma[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    values.append(_log((luma - smooth).square().mean()))
    values.append(_grid_contrast(luma.diff(dim=2).abs().mean(dim=(0, 1))) * 2)
    return values


def _grid_contrast(steps: torch.Tensor) -> float:
    """Return log10 of the mean step at multiples of 8 pixels over the mean of the others."""
    at_grid = torch.zeros(len(steps), dtype=torch.bool, device=steps.device)
    at_grid[7::8] = True
    if not bool(at_grid.any()):
        return 0.0
    floor = 1e-3
    return math.log10((float(steps[at_grid].mean()) + floor) / (float(steps[~at_grid].mean()) + floor))


def _temporal(luma: torch.Tensor) -> list[float]:
    """Return how much, how evenly and how smoothly the clip changes."""
    change = luma.diff(dim=0)
    per_pair = change.abs().mean(dim=(1, 2))
    lags = [_log((luma[lag:] - luma[:-lag]).square().mean()) for lag in (1, 2, 4)]
    still = float((per_pair < 0.25 * per_pair.mean() + 1e-4).float().mean())
    jerk = _log(change.diff(dim=0).square().mean()) - _log(change.square().mean())
    spread = float(per_pair.std(correction=0) / (per_pair.mean() + 1e-3))
    return [*lags, 2 * still, jerk, spread]
