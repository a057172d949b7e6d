"""DeSync: by how many seconds sound and picture of a clip are apart, as Synchformer estimates it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.desync_inputs import (
    FPS,
    FRAME_STEP,
    NEEDED_FRAMES,
    NEEDED_SAMPLES,
    NEEDED_SECONDS,
    RATE,
    SAMPLE_STEP,
    SEGMENTS,
    Compat,
    Plan,
    plan,
    segments,
)
from pytest_vidmetrics.metrics.audio.waveform import oddities, waveform
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.sound import SYNCHFORMER

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pytest_vidmetrics.networks.synchformer.network import Synchformer


GRID = tuple(round(-2.0 + 0.2 * i, 1) for i in range(21))
"""The offsets in seconds that the network tells apart."""
_WINDOWS = ("front", "back")


@register("audio.desync")
class Desync(BaseMetric):
    """Mean absolute offset in seconds, 0 to 2 in steps of 0.1, of the first and of the last 4.8 s; lower is better.

    Synchformer reads 14 segments of 0.64 s, one every 0.32 s, of 25 fps picture and 16 kHz mono sound, and
    names the likeliest of 21 offsets from -2 to 2 s. ``compat`` chooses between the rules of FastVideo and of
    av-benchmark: how frames are resized, what fills the last column of the mel spectrogram, and whether both
    streams are cut to their common length. ``seconds`` cuts both to a fixed length (av-benchmark's audio length;
    a shorter clip is skipped), ``src_fps`` is the rate of clips that state none, ``weights`` a local file.

    A clip that is too short is skipped. Silence has a score, like every sound, and is marked in the details.
    Source: Iashin et al., arXiv 2401.16423; Cheng et al., arXiv 2412.15322 (the protocol).
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "audio")
    reads: ClassVar[tuple[str, ...]] = ("fps",)
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "s"
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 2.0)
    noise_floor: ClassVar[float] = 1e-3
    noise_source: ClassVar[str] = (
        "classes of 0.2 s: equal unless two of them tie; the tolerance of FastVideo's own test"
    )
    backbone: ClassVar[str | None] = "synchformer"
    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    neutral: ClassVar[frozenset[str]] = frozenset({"chunk_size", "weights"})
    chunk_size: int

    _network: Network[Synchformer] = Network(
        "synchformer",
        ".synchformer.network:read",
        SYNCHFORMER,
        choose=lambda metric: [SYNCHFORMER.or_local(metric.weights)],
    )

    def __init__(
        self,
        compat: Compat = "fastvideo",
        seconds: float | None = None,
        src_fps: float | None = None,
        weights: str | None = None,
        chunk_size: int = 2,
    ) -> None:
        one_of("compat", compat, ("fastvideo", "av-benchmark"))
        if seconds is not None and not seconds >= NEEDED_SECONDS:
            raise ValueError(f"seconds is at least {NEEDED_SECONDS}, not {seconds}: the network compares that much")
        if src_fps is not None and not (math.isfinite(src_fps) and src_fps > 0):
            raise ValueError(f"src_fps is a positive number, not {src_fps}")
        if chunk_size < 1:
            raise ValueError(f"chunk_size is at least 1, not {chunk_size}")
        self.compat: Compat = compat
        self.seconds = seconds
        self.src_fps = src_fps
        self.weights = weights
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip: ``video`` is ``(T, 3, H, W)`` uint8 at ``fps``, ``audio`` as for the audio metrics.

        A clip of variable rate comes with ``times``. Raises
        :class:`~pytest_vidmetrics.core.errors.NoAudioStreamError` for a clip without sound and
        :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames that are not RGB.
        """
        video: torch.Tensor = sample["video"]
        if video.ndim != 4 or video.shape[1] != 3:
            raise IncompatibleSampleError(f"{self.name} needs frames of shape (T, 3, H, W), got {tuple(video.shape)}")
        fps = sample.get("fps") or self.src_fps
        if fps is None:
            return self._skip(sample, "the clip states no frame rate: give fps with the sample, or src_fps")
        sound, times = waveform(sample["audio"], RATE), sample.get("times")
        lasts = times[-1] if times else len(video) / fps
        if reason := self._too_short(lasts, len(sound) / RATE):
            return self._skip(sample, reason)
        read = plan(len(video), float(fps), len(sound), self.compat, self.seconds, times)
        if min(read.video, read.audio) < SEGMENTS:
            return self._skip(sample, _lacking(lasts, len(sound) / RATE, read))
        logits = self._logits(video.to(self.device), sound[: read.samples], read)
        clip = {"fps": float(fps), "video_s": lasts, "audio_s": len(sound) / RATE}
        return self._result(logits, read, {**clip, **oddities(sample), "silent": not sound.any()})

    def _too_short(self, video: float, audio: float) -> str:
        # A frame of the last tick may be missing: the rate that a container states is rounded.
        if self.seconds is None or min(video, audio) >= self.seconds - 1 / FPS:
            return ""
        return f"seconds={self.seconds:g} are compared; the clip has {video:.2f} s of video and {audio:.2f} s of audio"

    def _logits(self, video: torch.Tensor, sound: np.ndarray, read: Plan) -> list[list[float]]:
        """Return the 21 logits of the front and of the back window."""
        import torch

        from pytest_vidmetrics.networks.synchformer.mel import synchformer_mel

        network = self._network
        starts = read.windows()
        pictures = _used([start for start, _ in starts])
        sounds = _used([start for _, start in starts])
        # The fill of FastVideo depends on every segment, so the unused ones are left out only now.
        mel = synchformer_mel(sound, "minimum" if self.compat == "fastvideo" else "zero")[sounds]
        batches = segments(video, read.frames, pictures, self.compat, self.chunk_size)
        seen = torch.cat([network.video(batch) for batch in batches])
        heard = network.audio(torch.from_numpy(mel).to(self.device))
        rows = {
            # A clip of exactly 14 segments has one window, which is front and back.
            start: network.compare(_window(seen, pictures, start[0]), _window(heard, sounds, start[1]))[0]
            for start in dict.fromkeys(starts)
        }
        return [rows[start].double().tolist() for start in starts]

    def _result(self, logits: list[list[float]], read: Plan, clip: dict[str, Any]) -> MetricResult:
        windows = [
            {
                "name": name,
                "video_start_s": picture * FRAME_STEP / FPS,
                "audio_start_s": sound * SAMPLE_STEP / RATE,
                **estimate(row),
            }
            for name, row, (picture, sound) in zip(_WINDOWS, logits, read.windows(), strict=True)
        ]
        means = {
            key: math.fsum(window[key] for window in windows) / len(windows)
            for key in ("offset_s", "expected_offset_s", "expected_abs_offset_s")
        }
        front, back = (abs(window["offset_s"]) for window in windows)
        details = {
            "front_desync_s": front,
            "back_desync_s": back,
            **means,
            "windows": windows,
            "num_segments_used": SEGMENTS,
            "segments": {"video": read.video, "audio": read.audio},
            "segments_dropped": {
                "video": read.video - len(_used([start for start, _ in read.windows()])),
                "audio": read.audio - len(_used([start for _, start in read.windows()])),
            },
            **clip,
            "compat": self.compat,
        }
        return MetricResult(self.name, (front + back) / 2, details)


def estimate(logits: list[float]) -> dict[str, Any]:
    """Return the likeliest signed offset, the probabilities of the 21 offsets, and their means over the grid."""
    peak = max(logits)
    weights = [math.exp(value - peak) for value in logits]
    total = math.fsum(weights)
    probabilities = [weight / total for weight in weights]
    return {
        "offset_s": GRID[logits.index(peak)],
        "expected_offset_s": math.fsum(p * g for p, g in zip(probabilities, GRID, strict=True)),
        "expected_abs_offset_s": math.fsum(p * abs(g) for p, g in zip(probabilities, GRID, strict=True)),
        "probabilities": probabilities,
    }


def _used(starts: list[int]) -> list[int]:
    """Return the numbers of the segments that any window reads."""
    return sorted({start + i for start in starts for i in range(SEGMENTS)})


def _window(features: torch.Tensor, numbers: list[int], start: int) -> torch.Tensor:
    first = numbers.index(start)
    return features[None, first : first + SEGMENTS]


def _lacking(video: float, audio: float, read: Plan) -> str:
    return (
        f"DeSync needs {NEEDED_SECONDS} s of both streams ({NEEDED_FRAMES} frames at {FPS} fps, {NEEDED_SAMPLES} "
        f"samples at {RATE} Hz: {SEGMENTS} segments); the clip has {video:.2f} s of video ({read.video}) and "
        f"{audio:.2f} s of audio ({read.audio})"
    )
