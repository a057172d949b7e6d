"""The log-mel front end of CLAP, in float64 NumPy: the same numbers on every device and thread count.

Formulas: Wu et al. (arXiv 2211.06687) with the settings published with ``laion/clap-htsat-fused``. Nothing is
drawn: where the reference takes random chunks of long audio, the middle of each third is taken.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.networks.mel import Floats, htk_bank, slaney_bank

Features = npt.NDArray[np.float32]
Scale = Literal["htk", "slaney"]

SAMPLE_RATE = 48000
WINDOW = 10 * SAMPLE_RATE
"""Samples that the network hears at a time."""
FRAMES, BANDS = 1001, 64
_FFT, _HOP = 1024, 480
_LOW_HZ, _HIGH_HZ = 50.0, 14000.0
_FLOOR = 1e-10
_CHUNK = 128
"""Frames whose spectra stay in the cache: a third of the time of all at once."""


def windows(samples: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    """Return ``(N,)`` samples cut into windows of 10 s, one after the other; the last is what is left."""
    return [samples[start : start + WINDOW] for start in range(0, max(1, len(samples)), WINDOW)]


def fused_features(samples: npt.NDArray[np.floating]) -> Features:
    """Return the ``(4, 1001, 64)`` float32 decibels that the fusion network hears of ``(N,)`` samples at 48 kHz.

    Up to 10 s (and half a frame) it is one spectrogram four times. Longer sound is one spectrogram of all of it,
    shrunk to 1001 frames, and three chunks of it (see :func:`chunk_starts`).
    """
    if len(samples) > WINDOW:
        mel = log_mel(samples)
        if len(mel) > FRAMES:
            chunks = [mel[start : start + FRAMES] for start in chunk_starts(len(mel))]
            return np.stack([_shrunk(mel), *chunks]).astype(np.float32)
    else:
        mel = log_mel(repeat_padded(samples))
    return np.repeat(mel[None].astype(np.float32), 4, axis=0)


def plain_features(samples: npt.NDArray[np.floating]) -> Features:
    """Return the ``(1, 1001, 64)`` float32 decibels of at most 10 s, on Slaney's bank: the network without fusion.

    Raises ``ValueError`` for longer sound.
    """
    return log_mel(repeat_padded(samples), "slaney")[None].astype(np.float32)


def chunk_starts(frames: int) -> tuple[int, int, int]:
    """Return the first frames of the three chunks: the middle one of each third of the possible starts."""
    front, middle, back = np.array_split(np.arange(frames - FRAMES + 1), 3)
    # With fewer than three starts the later thirds are empty: the first chunk stands in.
    first, second, third = (int(part[len(part) // 2]) if len(part) else 0 for part in (front, middle, back))
    return first, second, third


def repeat_padded(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return 10 s of sound: whole repetitions, then zeros. Raises ``ValueError`` for none or more than 10 s."""
    if not 0 < len(samples) <= WINDOW:
        raise ValueError(f"a window holds 1 to {WINDOW} samples, not {len(samples)}")
    tiled = np.tile(samples, WINDOW // len(samples))
    return np.pad(tiled, (0, WINDOW - len(tiled)))


def log_mel_frames(count: int) -> int:
    """Return how many frames :func:`log_mel` makes of ``count`` samples."""
    return 1 + count // _HOP


def log_mel(samples: npt.NDArray[np.floating], scale: Scale = "htk") -> Floats:
    """Return ``(1 + N // 480, 64)`` decibels, ``10 log10(max(m, 1e-10))``, of ``(N,)`` samples.

    Power spectrum of centred frames (periodic Hann of 1024, hop 480, reflected ends), mel bank 50 to 14000 Hz.
    Digital silence is -100. Raises ``ValueError`` for fewer than 513 samples, which cannot be reflected.
    """
    exact = np.asarray(samples, dtype=np.float64)
    if exact.ndim != 1 or len(exact) <= _FFT // 2:
        raise ValueError(f"the mel spectrogram needs at least {_FFT // 2 + 1} samples in one dimension: {exact.shape}")
    padded = np.pad(exact, _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    mel = np.empty((len(frames), BANDS))
    for start in range(0, len(frames), _CHUNK):
        spectrum = np.fft.rfft(frames[start : start + _CHUNK] * _window(), axis=1)
        # (frames, 513) @ (513, 64)
        mel[start : start + _CHUNK] = (spectrum.real**2 + spectrum.imag**2) @ mel_bank(scale)
    return np.asarray(10.0 * np.log10(np.maximum(mel, _FLOOR)))


@cache
def mel_bank(scale: Scale) -> Floats:
    """Return the ``(513, 64)`` triangles from 50 to 14000 Hz."""
    make = htk_bank if scale == "htk" else slaney_bank
    # Laid out as it is multiplied.
    return np.ascontiguousarray(make(BANDS, _FFT, SAMPLE_RATE, _LOW_HZ, _HIGH_HZ).T)


@cache
def _window() -> Floats:
    return np.hanning(_FFT + 1)[:-1]


def _shrunk(mel: Floats) -> Floats:
    """Return ``mel`` with its time axis interpolated linearly to 1001 frames, ends not aligned."""
    # In float32, as the reference finds its places: decibels can change by 100 from one frame to the next.
    step = np.float32(len(mel) / FRAMES)
    at = np.maximum((np.arange(FRAMES, dtype=np.float32) + np.float32(0.5)) * step - np.float32(0.5), np.float32(0.0))
    left = np.minimum(at.astype(np.int64), len(mel) - 1)
    right = np.minimum(left + 1, len(mel) - 1)
    weight = (at - left.astype(np.float32)).astype(np.float64)[:, None]
    return np.asarray(mel[left] * (1.0 - weight) + mel[right] * weight)
