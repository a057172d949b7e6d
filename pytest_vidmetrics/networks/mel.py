"""Banks of mel filters, in float64: each triangle a row over the bins of a power spectrum, 0 Hz to half the rate.

Three families: straight in mel (Kaldi), straight in hertz of height 1 (HTK), straight in hertz of equal area (Slaney).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LINEAR_STEP, _KNEE_HZ = 200.0 / 3.0, 1000.0
_KNEE_MEL, _LOG_STEP = _KNEE_HZ / _LINEAR_STEP, np.log(6.4) / 27.0


def kaldi_bank(bands: int, fft: int, rate: int, low_hz: float, high_hz: float) -> Floats:
    """Return ``(bands, fft // 2 + 1)`` triangles, equally spaced and evaluated on ``1127 ln(1 + f / 700)``.

    Their height is 1. The last column (the Nyquist bin) is zero, as Kaldi leaves that bin out.
    """
    edges = np.linspace(_kaldi_mel(low_hz), _kaldi_mel(high_hz), bands + 2)
    return np.pad(_triangles(edges, _kaldi_mel(np.arange(fft // 2) * rate / fft)), ((0, 0), (0, 1)))


def htk_bank(bands: int, fft: int, rate: int, low_hz: float, high_hz: float) -> Floats:
    """Return ``(bands, fft // 2 + 1)`` triangles of height 1, straight in hertz.

    Their centres are equally spaced on ``2595 log10(1 + f / 700)``.
    """
    low, high = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (low_hz, high_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, bands + 2) / 2595.0) - 1.0)
    return _triangles(edges, np.linspace(0.0, rate / 2, fft // 2 + 1))


def slaney_bank(bands: int, fft: int, rate: int, low_hz: float, high_hz: float) -> Floats:
    """Return ``(bands, fft // 2 + 1)`` triangles of equal area, straight in hertz.

    Their centres are equally spaced on a scale that is linear below 1 kHz and logarithmic above.
    """
    low, high = _slaney_mel(np.array([low_hz, high_hz]))
    edges = _slaney_hertz(np.linspace(low, high, bands + 2))
    bank = _triangles(edges, np.linspace(0.0, rate / 2, fft // 2 + 1))
    return bank * (2.0 / (edges[2:] - edges[:-2]))[:, None]


def _triangles(edges: Floats, bins: Floats) -> Floats:
    """Return one row for each three neighbouring edges: up from the first to 1 at the second, down to the third."""
    # (bands, 1) each, against (bins,)
    low, top, high = (edges[start : len(edges) - 2 + start, None] for start in range(3))
    return np.maximum(0.0, np.minimum((bins - low) / (top - low), (high - bins) / (high - top)))


def _kaldi_mel(hertz: float | Floats) -> Floats:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0))


def _slaney_mel(hertz: Floats) -> Floats:
    # Both branches are computed: the maximum keeps the logarithm finite in the other one.
    above = _KNEE_MEL + np.log(np.maximum(hertz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hertz < _KNEE_HZ, hertz / _LINEAR_STEP, above)


def _slaney_hertz(mel: Floats) -> Floats:
    above = _KNEE_HZ * np.exp((np.maximum(mel, _KNEE_MEL) - _KNEE_MEL) * _LOG_STEP)
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_STEP, above)
