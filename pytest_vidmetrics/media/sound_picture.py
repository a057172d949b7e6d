"""What a sound looks like: its envelope and its mel spectrogram, for people to look at, never for scores."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_vidmetrics.media.audio import load_audio

RATE = 16_000
COLUMNS = 480
BANDS = 64
_WINDOW = 1024
_LOWEST_HZ = 40.0
_FLOOR_DB = -80.0
# Dark to light in even steps of lightness, so that it reads in grey and on either background.
_RAMP = np.array(
    [
        [0, 0, 4],
        [40, 11, 84],
        [101, 21, 110],
        [159, 42, 99],
        [212, 72, 66],
        [245, 125, 21],
        [250, 193, 39],
        [252, 255, 164],
    ]
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SoundPicture:
    """``envelope`` is (lowest, highest) sample per column, in [-1, 1]; ``spectrogram`` is a PNG, low tones below.

    The colours of the spectrogram run from -80 dB to full scale, so that two sounds can be compared by eye.
    """

    seconds: float
    envelope: tuple[tuple[float, float], ...]
    spectrogram: bytes


def picture_of(path: Path) -> SoundPicture:
    """Draw the sound of a file. Raises what :func:`~.audio.load_audio` raises."""
    samples = load_audio(path, rate=RATE).samples[0].astype(np.float64)
    columns = min(COLUMNS, len(samples))
    edges = np.linspace(0, len(samples), columns + 1).astype(int)
    parts = [samples[low:high] for low, high in itertools.pairwise(edges)]
    envelope = tuple((round(float(part.min()), 3), round(float(part.max()), 3)) for part in parts)
    return SoundPicture(len(samples) / RATE, envelope, _png(_decibels(samples, columns)))


def _decibels(samples: Floats, columns: int) -> Floats:
    """Return ``(bands, columns)`` in dB of a full-scale tone."""
    padded = np.pad(samples, _WINDOW // 2)
    starts = np.linspace(0, len(padded) - _WINDOW, columns).astype(int)
    window = np.hanning(_WINDOW + 1)[:-1]
    # (columns, window)
    frames = np.stack([padded[start : start + _WINDOW] for start in starts]) * window
    # The window's sum over 2 is what a full-scale tone in a bin gives.
    power = np.abs(np.fft.rfft(frames, axis=1) / (window.sum() / 2)) ** 2
    decibels: Floats = 10 * np.log10(np.maximum(power @ _bands(), 1e-12)).T
    return decibels


def _bands() -> Floats:
    """Return ``(bins, bands)`` triangles, evenly spaced in mel; each is as high as a tone in its middle."""
    hertz = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    low, high = (2595 * np.log10(1 + value / 700) for value in (_LOWEST_HZ, RATE / 2))
    centres = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    up = (hertz[:, None] - centres[:-2]) / (centres[1:-1] - centres[:-2])
    down = (centres[2:] - hertz[:, None]) / (centres[2:] - centres[1:-1])
    triangles: Floats = np.clip(np.minimum(up, down), 0, None)
    nearest = np.abs(hertz[:, None] - centres[1:-1]).argmin(axis=0)
    triangles[nearest, np.arange(BANDS)] = 1.0  # the lowest are narrower than a bin
    return triangles


def _png(decibels: Floats) -> bytes:
    level = np.clip(1 - decibels / _FLOOR_DB, 0, 1)[::-1]
    place = level * (len(_RAMP) - 1)
    low = np.minimum(place.astype(int), len(_RAMP) - 2)
    part = (place - low)[..., None]
    pixels = np.rint(_RAMP[low] * (1 - part) + _RAMP[low + 1] * part).astype(np.uint8)
    out = io.BytesIO()
    # 64 colours are enough for the eye, and a palette is smaller.
    Image.fromarray(pixels).quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()
