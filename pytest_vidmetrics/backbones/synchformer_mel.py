"""The log-mel front end of Synchformer, in float64 NumPy: the same numbers on every device and thread count."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SAMPLE_RATE = 16000
SEGMENT = 10240
STEP = 5120
_FFT, _HOP, _WINDOW = 1024, 160, 400
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
    segments = np.lib.stride_tricks.sliding_window_view(exact, SEGMENT)[::STEP]
    # The window is zero beyond its 400 samples, and where the frame starts does not change its power.
    padded = np.pad(segments, ((0, 0), (_WINDOW // 2, _WINDOW // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, ::_HOP]
    out = np.empty((count, _BANDS, frames.shape[1]))
    for row, segment in zip(out, frames, strict=True):
        spectrum = np.fft.rfft(segment * _hann(), n=_FFT, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        np.log(_bank() @ power.T + _FLOOR, out=row)
    return out


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
    """Return ``(128, 513)`` triangles of height 1 between points equally spaced in mel, straight in hertz."""
    top = 2595.0 * np.log10(1.0 + _HIGH_HZ / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, _BANDS + 2) / 2595.0) - 1.0)[:, None]
    bins = np.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1)[None, :]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))
