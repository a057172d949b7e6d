"""What ImageBind's audio tower reads: clips of a sound as Kaldi log mel filter banks, in NumPy."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.networks.mel import kaldi_bank

SAMPLE_RATE = 16000
CLIPS = 3
CLIP_SECONDS = 2
BANDS, FRAMES = 128, 204
MIN_SAMPLES = 400
"""Fewest samples that fill one frame of the filter bank (25 ms)."""
_HOP, _FFT = 160, 512
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_PREEMPHASIS = np.float32(0.97)
_FLOOR = float(np.finfo(np.float32).eps)
_MEAN, _SCALE = -4.268, 9.138

Samples = npt.NDArray[np.float32]


def starts(seconds: float, clips: int) -> list[Fraction]:
    """Return when each of ``clips`` clips of 2 s begins: evenly spaced, the first at 0, the last at the end.

    All begin at 0 in a stream of 2 s or less. The rule of pytorchvideo's constant sampler at the commit that
    ImageBind pins; its last release spaces them closer.
    """
    # In fractions, so that no start is lost to rounding.
    latest = max(Fraction(seconds) - CLIP_SECONDS, Fraction(0))
    return [latest * i / (clips - 1) for i in range(clips)]


def sound_clips(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the ``(3, 128, 204)`` float32 input of the tower for ``(N,)`` samples at 16 kHz.

    Frames that a clip does not have are zeros before the shift by the mean of the training data. Digital silence is
    -1.277565. Raises ``ValueError`` for less than 25 ms.
    """
    spans = [
        (int(begin * SAMPLE_RATE), int((begin + CLIP_SECONDS) * SAMPLE_RATE))
        for begin in starts(len(samples) / SAMPLE_RATE, CLIPS)
    ]
    # Short sounds give the same clip three times.
    banks = {span: filter_bank(samples[slice(*span)]) for span in dict.fromkeys(spans)}
    out = np.zeros((CLIPS, BANDS, FRAMES))
    for row, span in zip(out, spans, strict=True):
        bank = banks[span][:, :FRAMES]
        row[:, : bank.shape[1]] = bank
    return ((out - _MEAN) / _SCALE).astype(np.float32)


def filter_bank(samples: Samples) -> npt.NDArray[np.float64]:
    """Return ``(128, 1 + (N - 400) // 160)`` log mel energies of ``(N,)`` samples at 16 kHz.

    As ``torchaudio.compliance.kaldi.fbank`` with a Hann window, without dither or energy: whole frames of 25 ms
    every 10 ms, their mean removed, pre-emphasis, power spectrum of 512 points, triangles from 20 to 8000 Hz.
    """
    if samples.ndim != 1 or len(samples) < MIN_SAMPLES:
        raise ValueError(f"the filter bank needs at least {MIN_SAMPLES} samples in one dimension: {samples.shape}")
    # Frames in float32, as the reference rounds them: in quiet bands that is more than its transform's own error.
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float32, copy=False), MIN_SAMPLES)[::_HOP]
    centred = frames - frames.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    # The first sample of a frame has no predecessor: it stands for its own.
    before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
    shaped = (centred - _PREEMPHASIS * before) * _window()
    spectrum = np.fft.rfft(shaped.astype(np.float64), _FFT, axis=1)
    # (bands, bins) @ (bins, frames)
    energies = _bank() @ (spectrum.real**2 + spectrum.imag**2).T
    return np.log(np.maximum(energies, _FLOOR))


@cache
def _bank() -> npt.NDArray[np.float64]:
    return kaldi_bank(BANDS, _FFT, SAMPLE_RATE, _LOW_HZ, _HIGH_HZ)


@cache
def _window() -> npt.NDArray[np.float32]:
    return np.hanning(MIN_SAMPLES).astype(np.float32)
