"""A weight-free descriptor of motion, contrast and colour, for distributional gates on few clips."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import torch
from torch.nn import functional as F

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.processors import torch_limited
from pytest_vidmetrics.networks import shared

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

    Deterministic: float32 on the frames' device, no random numbers, no batch effects, one thread of a processor.
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
        # The sum of all pixels of a clip has other last digits for another number of threads.
        with torch_limited(1) if frames.device.type == "cpu" else contextlib.nullcontext():
            return self._described(frames)

    def _described(self, frames: torch.Tensor) -> np.ndarray:
        rgb = frames.float().div_(255)
        red, green, blue = rgb.unbind(dim=1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        groups = [
            _oriented_energy(luma),
            _colour(luma, red - green, 0.5 * (red + green) - blue),
            _spatial(luma),
            _temporal(luma),
        ]
        # One read of the device for all of them; logarithms and ratios are taken in float64 on the host.
        values = iter(torch.stack([value for group in groups for value in group]).tolist())
        energies, colours, spatial, temporal = ([next(values) for _ in group] for group in groups)
        parts = [
            *map(_log, energies),
            *(_COLOUR_GAIN * value for value in colours),
            *map(_log, spatial[:4]),
            2 * _contrast(*spatial[4:]),
            *map(_log, temporal[:3]),
            2 * temporal[3],
            _log(temporal[4]) - _log(temporal[5]),
            temporal[6],
        ]
        return np.asarray(parts, dtype=np.float64)


def _log(energy: float) -> float:
    return math.log10(energy + _TINY)


def _oriented_energy(luma: torch.Tensor) -> list[torch.Tensor]:
    """Return the mean energy of each orientation and temporal frequency."""
    # (T, 1, 48, 64)
    small = F.interpolate(luma[:, None], size=_GRID, mode="area")
    # Without its mean, so that brightness does not look like energy.
    small = small - small.mean(dim=(2, 3), keepdim=True)
    response = F.conv2d(small, shared.table("gabors", small.device, lambda: _gabors().to(small.dtype), small.dtype))
    # (T, orientations, h, w) each
    even, odd = response[:, :_ORIENTATIONS], response[:, _ORIENTATIONS:]
    taps = shared.table("motion taps", small.device, lambda: _taps().to(small.dtype), small.dtype)
    energies: list[torch.Tensor] = []
    for orientation in range(_ORIENTATIONS):
        # (T, pixels)
        a, b = even[:, orientation].flatten(1), odd[:, orientation].flatten(1)
        for cosine, sine in taps:
            # A pair in quadrature on both axes: the energy does not depend on the phase of what moves.
            real = _along_time(a, cosine) + _along_time(b, sine)
            imaginary = _along_time(b, cosine) - _along_time(a, sine)
            energies.append((real.square() + imaginary.square()).mean())
    return energies


def _taps() -> torch.Tensor:
    """Return the ``(frequencies, 2, taps)`` windowed cosines and sines."""
    steps = torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2
    window = torch.exp(-(steps**2) / (2 * (_TAPS / 4) ** 2))
    window = window / window.sum()
    phases = [2 * math.pi * frequency * steps for frequency in _FREQUENCIES]
    return torch.stack([torch.stack([window * phase.cos(), window * phase.sin()]) for phase in phases])


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
            # Without a mean they do not respond to plain areas.
            kernel = kernel - kernel.mean()
            kernels.append(kernel / kernel.norm())
    return torch.stack(kernels)[:, None]


def _colour(*planes: torch.Tensor) -> list[torch.Tensor]:
    return [value for plane in planes for value in (plane.mean(), plane.std(correction=0))]


def _spatial(luma: torch.Tensor) -> list[torch.Tensor]:
    """Return gradient energy at three scales, high-pass energy, and the mean step on and off an 8-pixel grid."""
    values: list[torch.Tensor] = []
    for scale in (1, 2, 4):
        plane = F.avg_pool2d(luma[:, None], scale) if scale > 1 else luma[:, None]
        dx, dy = plane.diff(dim=3), plane.diff(dim=2)
        values.append(dx.square().mean() + dy.square().mean())
    smooth = F.avg_pool2d(luma[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    values.append((luma - smooth).square().mean())
    steps = luma.diff(dim=2).abs().mean(dim=(0, 1))
    return [*values, *(steps[place].mean() for place in _grid_places(steps))]


def _grid_places(steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which of ``(W - 1,)`` steps cross a multiple of 8 pixels, and which do not; frames have 16 at least."""
    count = len(steps)
    # Step 7 leads from pixel 7 to pixel 8.
    on = shared.table("grid", steps.device, lambda: torch.arange(7, count, 8), count)
    off = shared.table("beside the grid", steps.device, lambda: _beside_grid(count), count)
    return on, off


def _beside_grid(count: int) -> torch.Tensor:
    places = torch.arange(count)
    return places[places % 8 != 7]


def _contrast(on_grid: float, off_grid: float) -> float:
    """Return log10 of the mean step at multiples of 8 pixels over the mean of the others."""
    floor = 1e-3
    return math.log10((on_grid + floor) / (off_grid + floor))


def _temporal(luma: torch.Tensor) -> list[torch.Tensor]:
    """Return how much the clip changes over 1, 2 and 4 frames, how often not, how smoothly (two), and how evenly."""
    change = luma.diff(dim=0)
    per_pair = change.abs().mean(dim=(1, 2))
    lags = [(luma[lag:] - luma[:-lag]).square().mean() for lag in (1, 2, 4)]
    # Relative to the clip's own mean, and above what coding noise leaves of nothing.
    still = (per_pair < 0.25 * per_pair.mean() + 1e-4).float().mean()
    spread = per_pair.std(correction=0) / (per_pair.mean() + 1e-3)
    return [*lags, still, change.diff(dim=0).square().mean(), change.square().mean(), spread]
