"""Ways to damage a clip, its sound or its prompts, each in three doses: what a gate is tested against.

Pictures are ``(T, H, W, 3)`` uint8, sound is ``(samples,)`` or ``(channels, samples)`` float32 in [-1, 1]. Nothing is
changed in place, and everything random has a fixed seed: the same clip is damaged alike on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Sound = NDArray[np.float32]

DOSES = (1, 2, 3)


@dataclass(frozen=True)
class Degradation:
    """One way to damage samples. ``doses`` says in words what each dose does; ``of`` is what it damages.

    ``every`` is the stride over the clips of a case: 2 leaves every second clip as it is.
    """

    name: str
    of: Literal["frames", "sound", "prompts"]
    doses: tuple[str, str, str]
    frames: Callable[[Frames, int], Frames] | None = None
    sound: Callable[[Sound, int, int], Sound] | None = None
    every: int = 1


def blur(frames: Frames, dose: int) -> Frames:
    """Gaussian blur of 0.5, 1 and 2 pixels."""
    from scipy.ndimage import gaussian_filter

    sigma = (0.5, 1.0, 2.0)[dose - 1]
    return gaussian_filter(frames.astype(np.float32), (0, sigma, sigma, 0)).round().astype(np.uint8)


def freeze(frames: Frames, dose: int) -> Frames:
    """Hold one frame in the middle for another 2, 5 and 12 frames."""
    held = min((2, 5, 12)[dose - 1], len(frames) - 1)
    # In the middle, so that the first and the last frame are those of the original.
    start = (len(frames) - held - 1) // 2
    index = np.arange(len(frames))
    return frames[np.where((index > start) & (index <= start + held), start, index)]


def drop(frames: Frames, dose: int) -> Frames:
    """Replace every 12th, 6th and 3rd frame by the one before it: dropped and doubled frames, same length."""
    step = (12, 6, 3)[dose - 1]
    index = np.arange(len(frames))
    return frames[np.where(index % step == step - 1, index - 1, index)]


def flicker(frames: Frames, dose: int) -> Frames:
    """Make every second frame 1, 3 and 10 % brighter."""
    gain = np.where(np.arange(len(frames)) % 2 == 1, 1 + (0.01, 0.03, 0.10)[dose - 1], 1.0)
    return np.clip(np.rint(frames * gain[:, None, None, None]), 0, 255).astype(np.uint8)


def noise(frames: Frames, dose: int) -> Frames:
    """Gaussian noise of 2, 6 and 16 grey levels, a fixed pattern."""
    rng = np.random.Generator(np.random.PCG64(7))
    grain = rng.standard_normal(frames.shape, dtype=np.float32) * (2.0, 6.0, 16.0)[dose - 1]
    return np.clip(np.rint(frames + grain), 0, 255).astype(np.uint8)


def blocking(frames: Frames, dose: int) -> Frames:
    """Blend 8x8 blocks with their mean by 15, 35 and 75 %, as coarse quantisation of a codec does."""
    count, height, width, channels = frames.shape
    h, w = height // 8 * 8, width // 8 * 8
    # (frames, blocks down, 8, blocks across, 8, channels)
    tiles = frames[:, :h, :w].astype(np.float32).reshape(count, h // 8, 8, w // 8, 8, channels)
    share = np.float32((0.15, 0.35, 0.75)[dose - 1])
    mixed = (1 - share) * tiles + share * tiles.mean(axis=(2, 4), keepdims=True)
    out = frames.copy()
    out[:, :h, :w] = np.rint(mixed).reshape(count, h, w, channels)
    return out


def banding(frames: Frames, dose: int) -> Frames:
    """Keep 64, 32 and 12 levels of each colour, as a decoder in too few bits does."""
    step = 255.0 / ((64, 32, 12)[dose - 1] - 1)
    table = np.rint(np.rint(np.arange(256) / step) * step).astype(np.uint8)
    return table[frames]


def colour_shift(frames: Frames, dose: int) -> Frames:
    """Raise red and lower blue by 3, 8 and 24 grey levels."""
    shift = (3, 8, 24)[dose - 1]
    return np.clip(frames.astype(np.int16) + np.array([shift, 0, -shift], np.int16), 0, 255).astype(np.uint8)


def seam(frames: Frames, dose: int) -> Frames:
    """Move the right half down by 1, 2 and 8 pixels: tiles that were generated apart do not meet."""
    out = frames.copy()
    half = frames.shape[2] // 2
    out[:, :, half:] = np.roll(frames[:, :, half:], (1, 2, 8)[dose - 1], axis=1)
    return out


def shuffle(frames: Frames, dose: int) -> Frames:
    """Swap neighbours once, shuffle windows of 4 frames, shuffle the whole clip."""
    order = np.arange(len(frames))
    if dose == 1:
        at = max(0, len(frames) // 2 - 1)
        # Copied: the two sides overlap.
        order[at : at + 2] = order[at : at + 2][::-1].copy()
        return frames[order]
    rng = np.random.Generator(np.random.PCG64(11))
    window = 4 if dose == 2 else max(1, len(frames))
    for start in range(0, len(frames), window):
        order[start : start + window] = rng.permutation(order[start : start + window])
    return frames[order]


def speed(frames: Frames, dose: int) -> Frames:
    """Play 1.1, 1.5 and 2 times as fast and hold the last frame, so that the length stays."""
    index = np.floor(np.arange(len(frames)) * (1.1, 1.5, 2.0)[dose - 1]).astype(np.int64)
    return frames[np.minimum(index, len(frames) - 1)]


def gain(sound: Sound, rate: int, dose: int) -> Sound:
    """Lower the sound by 3, 6 and 20 dB."""
    del rate
    return (sound * np.float32(10 ** (-(3, 6, 20)[dose - 1] / 20))).astype(np.float32)


def hiss(sound: Sound, rate: int, dose: int) -> Sound:
    """Add white noise 30, 20 and 6 dB below the sound (its root mean square)."""
    del rate
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) * 10 ** (-(30, 20, 6)[dose - 1] / 20)
    grain = np.random.Generator(np.random.PCG64(7)).standard_normal(sound.shape, dtype=np.float32)
    return np.clip(sound + np.float32(level) * grain, -1, 1).astype(np.float32)


def delay(sound: Sound, rate: int, dose: int) -> Sound:
    """Let the sound come 0.1, 0.3 and 1 s late; the length stays."""
    late = min(round((0.1, 0.3, 1.0)[dose - 1] * rate), sound.shape[-1])
    out = np.zeros_like(sound)
    out[..., late:] = sound[..., : sound.shape[-1] - late]
    return out


def silence(sound: Sound, rate: int, dose: int) -> Sound:
    """Mute the last 10, 30 and 100 %."""
    del rate
    out = sound.copy()
    out[..., round(sound.shape[-1] * (1 - (0.1, 0.3, 1.0)[dose - 1])) :] = 0
    return out


def exchanged(items: Sequence[str], dose: int) -> tuple[str, ...]:
    """Return prompts (or sounds) of which a tenth (at least 2), a half and all have moved on to the next sample."""
    # A single prompt would be exchanged with itself.
    moved = {1: max(2, round(len(items) / 10)), 2: max(2, (len(items) + 1) // 2), 3: len(items)}[dose]
    moved = min(moved, len(items))
    head, rest = list(items[:moved]), list(items[moved:])
    return (*head[1:], *head[:1], *rest)


DEGRADATIONS: tuple[Degradation, ...] = (
    Degradation("blur", "frames", ("0.5 px", "1 px", "2 px"), blur),
    Degradation("freeze", "frames", ("2 frames", "5 frames", "12 frames"), freeze),
    Degradation("dropped frames", "frames", ("1 in 12", "1 in 6", "1 in 3"), drop),
    Degradation("flicker", "frames", ("1 %", "3 %", "10 %"), flicker),
    Degradation("noise", "frames", ("2 levels", "6 levels", "16 levels"), noise),
    Degradation("blocking", "frames", ("15 %", "35 %", "75 %"), blocking),
    Degradation("banding", "frames", ("64 levels", "32 levels", "12 levels"), banding),
    Degradation("colour shift", "frames", ("3 levels", "8 levels", "24 levels"), colour_shift),
    Degradation("seam", "frames", ("1 px", "2 px", "8 px"), seam),
    Degradation("frame order", "frames", ("2 frames", "windows of 4", "whole clip"), shuffle),
    Degradation("speed", "frames", ("1.1x", "1.5x", "2x"), speed),
    Degradation("noise on half the clips", "frames", ("2 levels", "6 levels", "16 levels"), noise, every=2),
    Degradation("quieter sound", "sound", ("3 dB", "6 dB", "20 dB"), sound=gain),
    Degradation("hiss", "sound", ("-30 dB", "-20 dB", "-6 dB"), sound=hiss),
    Degradation("late sound", "sound", ("0.1 s", "0.3 s", "1 s"), sound=delay),
    Degradation("muted sound", "sound", ("10 %", "30 %", "all"), sound=silence),
    Degradation("exchanged sound", "sound", ("a tenth", "half", "all")),
    Degradation("exchanged prompts", "prompts", ("a tenth", "half", "all")),
)
"""Every degradation. One of sound without a function exchanges the sounds of samples, as that of prompts does."""
