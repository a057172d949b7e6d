"""Sounds like speech, clips whose flashes are heard, and what can happen to them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch

Sound = np.ndarray
Corruption = Callable[[Sound, int], Sound]
LEVEL = 0.1
"""-20 dB."""
SHIFT_S = 1.0
SEMITONES = 6


def voice(seconds: float, rate: int, seed: int) -> Sound:
    """Return ``(N,)`` float32 syllables: harmonics of a wandering pitch under two formants, with pauses."""
    return _voice(seconds, rate, seed).copy()


@functools.lru_cache(64)
def _voice(seconds: float, rate: int, seed: int) -> Sound:
    rng = np.random.Generator(np.random.PCG64(7000 + seed))
    t = np.arange(round(seconds * rate)) / rate
    pitch = rng.uniform(100, 180) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 0.8) * t + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = rng.uniform(400, 800), rng.uniform(1200, 2400)
    sound = np.zeros_like(t)
    for k in range(1, 30):
        gain = sum(np.exp(-(((k * pitch - f) / 200) ** 2)) for f in formants) + 0.02
        sound += gain / k**0.5 * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(2.5, 4.0) * t + rng.uniform(0, 6)), 0, None)
    hiss = 0.01 * rng.standard_normal(len(t))
    return (0.2 * sound * syllables + hiss * syllables + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def machine(seconds: float, rate: int, seed: int) -> Sound:
    """Return ``(N,)`` float32 of something else: a rattling hum."""
    rng = np.random.Generator(np.random.PCG64(8000 + seed))
    t = np.arange(round(seconds * rate)) / rate
    hum = sum(np.sin(2 * np.pi * 50 * k * t) for k in (1, 2, 3)) / 3
    rattle = rng.standard_normal(len(t)) * (np.sin(2 * np.pi * 12 * t) > 0.8)
    return (0.3 * hum + 0.1 * rattle).astype(np.float32)


def pitch_up(sound: Sound, rate: int) -> Sound:
    """Play faster by six semitones, again from the start when it is over: pitch and tempo."""
    del rate
    where = (np.arange(len(sound)) * 2 ** (SEMITONES / 12)) % (len(sound) - 1)
    return np.interp(where, np.arange(len(sound)), sound).astype(np.float32)


def delay(sound: Sound, rate: int) -> Sound:
    """Start a second later, over silence."""
    count = round(SHIFT_S * rate)
    return np.concatenate([np.zeros(count, np.float32), sound[:-count]])


def advance(sound: Sound, rate: int) -> Sound:
    """Start a second earlier; silence at the end."""
    count = round(SHIFT_S * rate)
    return np.concatenate([sound[count:], np.zeros(count, np.float32)])


def white_noise(sound: Sound, rate: int) -> Sound:
    """Replace by noise that is as loud."""
    del rate
    rng = np.random.Generator(np.random.PCG64(1))
    return (sound.std() * rng.standard_normal(len(sound))).astype(np.float32)


CORRUPTIONS: dict[str, Corruption] = {
    "original": lambda sound, rate: sound,
    "silence": lambda sound, rate: np.zeros_like(sound),
    "white_noise": white_noise,
    "low_volume": lambda sound, rate: (LEVEL * sound).astype(np.float32),
    "reversed": lambda sound, rate: sound[::-1].copy(),
    "pitch_up": pitch_up,
    "delay": delay,
    "advance": advance,
    "unrelated": lambda sound, rate: machine(len(sound) / rate, rate, 1),
}


def noisy(sound: Sound, decibels: float, seed: int = 0) -> Sound:
    """Add white noise at a ratio of signal to noise."""
    rng = np.random.Generator(np.random.PCG64(9000 + seed))
    noise = sound.std() * 10 ** (-decibels / 20) * rng.standard_normal(len(sound))
    return (sound + noise).astype(np.float32)


def low_pass(sound: Sound, hertz: float, rate: int) -> Sound:
    """Remove what is above a frequency."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    spectrum[np.fft.rfftfreq(len(sound), 1 / rate) > hertz] = 0
    return np.fft.irfft(spectrum, len(sound)).astype(np.float32)


def clipped(sound: Sound, share: float) -> Sound:
    """Cut off all above a share of the peak."""
    limit = share * np.abs(sound).max()
    return np.clip(sound, -limit, limit)


def flashes(seconds: float, rate: int, fps: int, seed: int) -> tuple[torch.Tensor, Sound]:
    """Return ``(T, 3, 24, 24)`` uint8 frames that flash at irregular times, and beeps at the same times."""
    rng = np.random.Generator(np.random.PCG64(seed))
    starts = np.cumsum(rng.uniform(0.3, 0.9, 40))
    frames = np.arange(round(seconds * fps))[:, None] / fps
    samples = np.arange(round(seconds * rate)) / rate
    lit = ((frames >= starts) & (frames < starts + 0.16)).any(axis=1)
    loud = np.zeros(len(samples), bool)
    for start in starts:
        loud |= (samples >= start) & (samples < start + 0.16)
    pixels = np.where(lit, 230, 20).astype(np.uint8)[:, None, None, None]
    sound = 0.5 * np.sin(2 * np.pi * 700 * samples) * loud + 1e-3 * rng.standard_normal(len(samples))
    return torch.from_numpy(np.broadcast_to(pixels, (len(pixels), 3, 24, 24)).copy()), sound.astype(np.float32)
