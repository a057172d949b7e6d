"""The spectrogram front ends of the audio metrics against plain loops over frames, as ratios of CPU time.

    python -m benchmarks.audio_frontends [NAME ...]

A loop is what the formulas say, one frame after the other, in float64 and without torchaudio. Both sides get the
same sound; they take turns in one process with one thread. A new front end is one entry of :data:`FRONT_ENDS`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pytest_vidmetrics.networks.clap import mel as clap_mel
from pytest_vidmetrics.networks.imagebind import audio as imagebind_audio
from pytest_vidmetrics.networks.mel import kaldi_bank
from pytest_vidmetrics.networks.passt_mel import passt_mel
from pytest_vidmetrics.networks.synchformer import mel as synchformer_mel

Samples = np.ndarray


@dataclass(frozen=True)
class FrontEnd:
    """``ours`` and ``loop`` map ``(N,)`` float32 samples at ``rate`` Hz to the same array."""

    rate: int
    ours: Callable[[Samples], np.ndarray]
    loop: Callable[[Samples], np.ndarray]


def passt_loop(samples: Samples) -> np.ndarray:
    """PaSST: pre-emphasis, a Fourier transform per frame, mel bank, logarithm."""
    bank = kaldi_bank(128, 1024, 32000, 0.0, 15000.0)
    window = np.pad(np.hanning(800), 112)
    exact = samples.astype(np.float64)
    emphasised = exact[1:] - 0.97 * exact[:-1]
    padded = np.pad(emphasised, 512, mode="reflect")
    columns = []
    for start in range(0, len(padded) - 1023, 320):
        power = np.abs(np.fft.rfft(padded[start : start + 1024] * window)) ** 2
        columns.append((np.log(bank @ power + 1e-5) + 4.5) / 5.0)
    return np.stack(columns, axis=1)


def htk_bank(bands: int, fft: int, rate: int, low: float, high: float) -> np.ndarray:
    """Return ``(bands, fft // 2 + 1)`` triangles in hertz, equally spaced on ``2595 log10(1 + f / 700)``."""
    mels = np.linspace(*(2595 * np.log10(1 + np.array([low, high]) / 700)), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.linspace(0, rate / 2, fft // 2 + 1)
    rows = [
        np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
        for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    return np.maximum(0.0, rows)


def hann(count: int) -> np.ndarray:
    """Return a periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)


def clap_loop(samples: Samples) -> np.ndarray:
    """CLAP: a Fourier transform per frame, mel bank, decibels."""
    bank, window = htk_bank(64, 1024, 48000, 50.0, 14000.0), hann(1024)
    padded = np.pad(samples.astype(np.float64), 512, mode="reflect")
    rows = []
    for start in range(0, len(padded) - 1023, 480):
        power = np.abs(np.fft.rfft(padded[start : start + 1024] * window)) ** 2
        rows.append(10 * np.log10(np.maximum(bank @ power, 1e-10)))
    return np.stack(rows)


def synchformer_loop(samples: Samples) -> np.ndarray:
    """Synchformer: each segment of 0.64 s by itself, one every 0.32 s, a Fourier transform per frame."""
    bank, window = htk_bank(128, 1024, 16000, 0.0, 8000.0), hann(400)
    segments = []
    for first in range(0, len(samples) - 10239, 5120):
        padded = np.pad(samples[first : first + 10240].astype(np.float64), 200, mode="reflect")
        columns = []
        for start in range(0, len(padded) - 399, 160):
            power = np.abs(np.fft.rfft(padded[start : start + 400] * window, 1024)) ** 2
            columns.append(np.log(bank @ power + 1e-6))
        segments.append(np.stack(columns, axis=1))
    return np.stack(segments)


def imagebind_loop(samples: Samples) -> np.ndarray:
    """ImageBind: three clips of 2 s; each frame without its mean, pre-emphasis, a Fourier transform, logarithm."""
    bank, window = kaldi_bank(128, 512, 16000, 20.0, 8000.0), np.hanning(400)
    clips = np.zeros((3, 128, 204))
    for i, clip in enumerate(clips):
        first = i * (len(samples) - 32000) // 2
        sound = samples[first : first + 32000].astype(np.float64)
        for column, start in enumerate(range(0, len(sound) - 399, 160)):
            frame = sound[start : start + 400] - sound[start : start + 400].mean()
            frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
            power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
            clip[:, column] = np.log(np.maximum(bank @ power, 1.1920929e-07))
    return (clips + 4.268) / 9.138


FRONT_ENDS = {
    "passt_mel": FrontEnd(32000, passt_mel, passt_loop),
    "clap_mel": FrontEnd(48000, clap_mel.log_mel, clap_loop),
    "synchformer_mel": FrontEnd(16000, synchformer_mel.log_mel, synchformer_loop),
    "imagebind_audio": FrontEnd(16000, imagebind_audio.sound_clips, imagebind_loop),
}


def sound(seconds: float, rate: int) -> Samples:
    """Return a chirp with noise."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(t))
    return (0.4 * np.sin(2 * np.pi * (200 * t + 150 * t**2)) + 0.02 * noise).astype(np.float32)


def compare(name: str, seconds: float, rounds: int) -> None:
    """Print the CPU time of both sides, their ratio, and by how much they differ."""
    end = FRONT_ENDS[name]
    samples = sound(seconds, end.rate)
    gap = float(np.abs(np.asarray(end.ours(samples), np.float64) - end.loop(samples)).max())
    times: dict[str, list[float]] = {"ours": [], "loop": []}
    for _ in range(rounds):
        for side in times:
            start = time.process_time()
            getattr(end, side)(samples)
            times[side].append(time.process_time() - start)
    ours, loop = (statistics.median(times[side]) for side in ("ours", "loop"))
    times_text = f"{1e3 * ours:.1f} ms / {1e3 * loop:.1f} ms = {ours / loop:.2f}"
    print(f"{name}: {seconds:g} s of sound in {times_text}; largest difference {gap:.1e}")


def main() -> None:
    """Print one line per front end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(FRONT_ENDS), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.names:
        compare(name, args.seconds, args.rounds)


if __name__ == "__main__":
    main()
