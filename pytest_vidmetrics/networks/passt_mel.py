"""The log-mel front end of PaSST, in float64 NumPy: the same numbers on every device and thread count.

Formulas: Kaldi's mel scale and triangles, pre-emphasis and scaling of Koutini et al. (arXiv 2110.05069).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.networks.mel import Floats, kaldi_bank

SAMPLE_RATE = 32000
_FFT, _HOP, _WINDOW = 1024, 320, 800
_BANDS, _LOW_HZ, _HIGH_HZ = 128, 0.0, 15000.0
_PREEMPHASIS = 0.97
_AT_ONCE = 128
"""Frames whose spectra stay in the cache: half the time of all at once."""
_FLOOR = 1e-5
_SHIFT, _SCALE = 4.5, 5.0


def passt_mel(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the ``(128, 1 + (N - 1) // 320)`` float32 input of PaSST for ``(N,)`` samples at 32 kHz.

    ``y[t] = x[t + 1] - 0.97 x[t]``, power spectrum of centred frames (1024 bins, symmetric Hann of 800, hop 320,
    reflected ends), mel bank 0 to 15000 Hz, ``(ln(m + 1e-5) + 4.5) / 5``. Digital silence gives -1.402585. Raises
    ``ValueError`` for fewer than 514 samples, which cannot be reflected.
    """
    exact = np.asarray(samples, dtype=np.float64)
    if exact.ndim != 1 or len(exact) < _FFT // 2 + 2:
        raise ValueError(f"the mel spectrogram needs at least {_FFT // 2 + 2} samples in one dimension: {exact.shape}")
    emphasised = np.pad(exact[1:] - _PREEMPHASIS * exact[:-1], _FFT // 2, mode="reflect")
    # A view: frames overlap by two thirds, and are not copied.
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, _FFT)[::_HOP]
    mel = np.empty((_BANDS, len(frames)))
    for start in range(0, len(frames), _AT_ONCE):
        spectrum = np.fft.rfft(frames[start : start + _AT_ONCE] * _window(), axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        mel[:, start : start + _AT_ONCE] = _bank() @ power.T
    return ((np.log(mel + _FLOOR) + _SHIFT) / _SCALE).astype(np.float32)


@cache
def _bank() -> Floats:
    return kaldi_bank(_BANDS, _FFT, SAMPLE_RATE, _LOW_HZ, _HIGH_HZ)


@cache
def _window() -> Floats:
    margin = (_FFT - _WINDOW) // 2
    # A window of 800 in the middle of a frame of 1024.
    return np.pad(np.hanning(_WINDOW), margin)
