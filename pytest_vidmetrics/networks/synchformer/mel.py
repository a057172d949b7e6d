"""The log-mel front end of Synchformer, in float64 NumPy: the same numbers on every device and thread count."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.networks.mel import Floats, htk_bank

SAMPLE_RATE = 16000
SEGMENT = 10240
STEP = 5120
_FFT, _HOP, _WINDOW = 1024, 160, 400
_REACH = _WINDOW // 2
_EDGE = 2
"""Frames at either end of a segment that reach over it."""
_AT_ONCE = 128
"""Frames whose spectra stay in the cache: half the time of all at once."""
_BANDS, _HIGH_HZ = 128, 8000.0
_FLOOR = 1e-6
_MEAN, _STD = -4.2677393, 4.5689974


def count_segments(samples: int) -> int:
    """Return how many whole segments of 0.64 s, one every 0.32 s, fit into ``samples`` at 16 kHz."""
    return max(0, (samples - SEGMENT) // STEP + 1)


def log_mel(samples: npt.NDArray[np.floating]) -> Floats:
    """Return the ``(S, 128, 65)`` log-mel segments of ``(N,)`` samples at 16 kHz.

    Each segment by itself: centred frames of 400 samples every 160 with reflected ends, periodic Hann window, power
    spectrum of 1024 bins, 128 triangles on the HTK mel scale from 0 to 8000 Hz, ``ln(m + 1e-6)``. Digital silence
    gives -13.815511. ``S`` is 0 for fewer than 10240 samples.
    """
    count = count_segments(len(samples))
    exact = np.asarray(samples, dtype=np.float64)
    if not count:
        return np.empty((0, _BANDS, 1 + SEGMENT // _HOP))
    used = exact[: (count - 1) * STEP + SEGMENT]
    # Segments overlap by half, on the grid of the frames: only the frames that reach over their ends differ.
    # From the first frame that does not reach over the start of a segment.
    whole = _log_bands(np.lib.stride_tricks.sliding_window_view(used[_HOP * _EDGE - _REACH :], _WINDOW)[::_HOP])
    segments = np.lib.stride_tricks.sliding_window_view(used, SEGMENT)[::STEP]
    near = _HOP + _REACH + 1
    ends = (
        np.pad(segments[:, :near], ((0, 0), (_REACH, 0)), mode="reflect"),
        # `[:, 1:]`: counted from the other end, frames start one sample later.
        np.pad(segments[:, -near:], ((0, 0), (0, _REACH)), mode="reflect")[:, 1:],
    )
    frames = [np.lib.stride_tricks.sliding_window_view(end, _WINDOW, axis=1)[:, ::_HOP][:, :_EDGE] for end in ends]
    # (bands, segments, 4): the two frames at either end
    edges = _log_bands(np.concatenate(frames, axis=1).reshape(-1, _WINDOW)).reshape(_BANDS, count, 2 * _EDGE)
    inner = 1 + SEGMENT // _HOP - 2 * _EDGE
    out = np.empty((count, _BANDS, inner + 2 * _EDGE))
    for i, row in enumerate(out):
        row[:, :_EDGE], row[:, -_EDGE:] = edges[:, i, :_EDGE], edges[:, i, _EDGE:]
        row[:, _EDGE:-_EDGE] = whole[:, i * STEP // _HOP :][:, :inner]
    return out


def _log_bands(frames: Floats) -> Floats:
    """Return ``(128, N)`` logarithms for ``(N, 400)`` frames."""
    out = np.empty((_BANDS, len(frames)))
    for first in range(0, len(frames), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        # The window is zero beyond its 400 samples, and where the frame starts does not change its power.
        spectrum = np.fft.rfft(frames[part] * _hann(), n=_FFT, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        out[:, part] = _bank() @ power.T
    out += _FLOOR
    return np.log(out, out=out)


def synchformer_mel(
    samples: npt.NDArray[np.floating], last: Literal["zero", "minimum"] = "zero"
) -> npt.NDArray[np.float32]:
    """Return the ``(S, 128, 66)`` float32 input of the audio tower for ``(N,)`` samples at 16 kHz.

    ``last`` fills the 66th column before the scaling by mean and deviation: ``"zero"`` as Synchformer does,
    ``"minimum"`` with the smallest value of all segments, as FastVideo does.
    """
    mel = log_mel(samples)
    fill = float(mel.min()) if last == "minimum" and mel.size else 0.0
    full = np.pad(mel, ((0, 0), (0, 0), (0, 1)), constant_values=fill)
    return ((full - _MEAN) / (2 * _STD)).astype(np.float32)


@cache
def _hann() -> Floats:
    return np.hanning(_WINDOW + 1)[:-1]


@cache
def _bank() -> Floats:
    return htk_bank(_BANDS, _FFT, SAMPLE_RATE, 0.0, _HIGH_HZ)
