"""ImageBind score: how well the sound of a clip belongs to its picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.waveform import oddities, waveform
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.sound import IMAGEBIND

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.imagebind.audio import Samples
    from pytest_vidmetrics.networks.imagebind.network import ImageBind
    from pytest_vidmetrics.networks.imagebind.video import Pairs

Compat = Literal["fastvideo", "av-benchmark"]
Times = tuple[float, ...] | None
_SLACK = 1e-9
"""Of a frame: rates and lengths are rounded."""


@register("audio.imagebind_score")
class ImageBindScore(BaseMetric):
    """Cosine of ImageBind's embeddings of the picture and of the sound, -1 to 1; higher is better.

    **Non-commercial**: the published weights are CC BY-NC-SA 4.0. Only the vision and the audio tower are loaded.

    ``compat="fastvideo"`` samples as ImageBind's own loader: 5 clips of 2 s of the picture, evenly spaced, first and
    last frame of each, shorter side 224 (bilinear, no antialias), 3 crops; 3 clips of 2 s of 16 kHz sound. Each
    stream in full. ``"av-benchmark"`` takes a frame every 2 s instead, pairs consecutive ones (the clip needs 4 s),
    resizes bicubic with antialias, and cuts both streams to their common length. Papers print its score times 100.

    ``channels="first"`` reads the first channel of the sound alone, as ImageBind's loader does; ``"mean"`` all of
    them.
    ``seconds`` cuts both streams to a fixed length (a shorter clip is skipped), ``src_fps`` is the rate of clips that
    state none, ``weights`` a local file. ``chunk_size`` views go through the network at a time. Silence has a score
    and is marked in the details. Source: Girdhar et al., arXiv 2305.05665; facebookresearch/ImageBind@53680b02.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "audio")
    reads: ClassVar[tuple[str, ...]] = ("fps",)
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = True
    value_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    noise_floor: ClassVar[float] = 1e-2
    noise_source: ClassVar[str] = "FastVideo's tolerance between machines; threads and kernels here differ by 1e-6"
    tf32_change: ClassVar[float | None] = 7e-5
    backbone: ClassVar[str | None] = "imagebind"
    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    neutral: ClassVar[frozenset[str]] = frozenset({"chunk_size", "weights"})
    chunk_size: int

    _network: Network[ImageBind] = Network(
        "imagebind",
        ".imagebind.network:read",
        IMAGEBIND,
        choose=lambda metric: [IMAGEBIND.or_local(metric.weights)],
    )

    def __init__(
        self,
        compat: Compat = "fastvideo",
        channels: Literal["first", "mean"] = "first",
        seconds: float | None = None,
        src_fps: float | None = None,
        weights: str | None = None,
        chunk_size: int = 5,
    ) -> None:
        one_of("compat", compat, ("fastvideo", "av-benchmark"))
        one_of("channels", channels, ("first", "mean"))
        for name, value in (("seconds", seconds), ("src_fps", src_fps)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is a positive number, not {value}")
        if chunk_size < 1:
            raise ValueError(f"chunk_size is at least 1, not {chunk_size}")
        self.compat: Compat = compat
        self.channels: Literal["first", "mean"] = channels
        self.seconds = seconds
        self.src_fps = src_fps
        self.weights = weights
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip: ``video`` is ``(T, 3, H, W)`` uint8 at ``fps``, ``audio`` as for the audio metrics.

        A clip of variable rate comes with ``times``.
        ``details``: ``clips`` (the frame numbers of each pair), ``clip_scores`` (the cosine of each pair with the
        whole sound), ``views``, ``audio_clips``, ``fps``, ``video_s``, ``audio_s``, ``silent``. Raises
        :class:`~pytest_vidmetrics.core.errors.NoAudioStreamError` for a clip without sound and
        :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames that are not RGB.
        """
        video: torch.Tensor = sample["video"]
        if video.ndim != 4 or video.shape[1] != 3:
            raise IncompatibleSampleError(f"{self.name} needs frames of shape (T, 3, H, W), got {tuple(video.shape)}")
        rate = sample.get("fps") or self.src_fps
        if rate is None:
            return self._skip(sample, "the clip states no frame rate: give fps with the sample, or src_fps")
        fps = float(rate)
        sound = self._sound(sample["audio"])
        times = sample.get("times")
        facts: dict[str, Any] = {
            "fps": fps,
            "video_s": times[-1] if times else len(video) / fps,
            "audio_s": self._seconds(sound),
            **oddities(sample),
            "silent": not sound.any(),
        }
        if self.seconds is not None and min(facts["video_s"], facts["audio_s"]) < self.seconds - 1 / fps:
            return self._skip(
                sample,
                f"seconds={self.seconds:g} are compared; the clip has {facts['video_s']:.2f} s of video and "
                f"{facts['audio_s']:.2f} s of audio",
            )
        length = self.seconds or min(facts["video_s"], facts["audio_s"])
        video, sound, times = self._cut(video, fps, times, sound, length)
        pairs = self._pairs(len(video), fps, times, length)
        if reason := self._too_short(pairs, sound):
            return self._skip(sample, reason)
        return self._score(video, pairs, sound, facts)

    def _sound(self, value: Any) -> Samples:
        from pytest_vidmetrics.networks.imagebind.audio import SAMPLE_RATE

        return waveform(value, SAMPLE_RATE) if self.channels == "mean" else waveform(value, SAMPLE_RATE, mono=False)[0]

    def _seconds(self, sound: Samples) -> float:
        from pytest_vidmetrics.networks.imagebind.audio import SAMPLE_RATE

        return len(sound) / SAMPLE_RATE

    def _cut(
        self, video: torch.Tensor, fps: float, times: Times, sound: Samples, length: float
    ) -> tuple[torch.Tensor, Samples, Times]:
        """Return what of both streams is compared."""
        from pytest_vidmetrics.media.clock import frames_before
        from pytest_vidmetrics.networks.imagebind.audio import SAMPLE_RATE

        if self.seconds is None and self.compat == "fastvideo":
            return video, sound, times
        # The frames that begin before the end.
        count = math.ceil(length * fps - _SLACK) if times is None else frames_before(times, length)
        if times is not None:
            # `times` has one entry more than there are frames: when the last one ends.
            times = (*times[:count], min(length, times[-1]))
        return video[:count], sound[: round(length * SAMPLE_RATE)], times

    def _pairs(self, total: int, fps: float, times: Times, length: float) -> Pairs:
        from pytest_vidmetrics.networks.imagebind.video import clip_ends, half_hertz_pairs

        if self.compat == "av-benchmark":
            return half_hertz_pairs(total, fps, length, times)
        return clip_ends(total, fps, times)

    def _too_short(self, pairs: Pairs, sound: Samples) -> str:
        from pytest_vidmetrics.networks.imagebind.audio import MIN_SAMPLES, SAMPLE_RATE

        if len(sound) < MIN_SAMPLES:
            return f"the sound needs at least {MIN_SAMPLES / SAMPLE_RATE:g} s, it has {self._seconds(sound):g} s"
        if not pairs:
            return "compat='av-benchmark' pairs frames that are 2 s apart: it needs 4 s of both video and audio"
        return ""

    def _score(self, video: torch.Tensor, pairs: Pairs, sound: Samples, facts: dict[str, Any]) -> MetricResult:
        import torch
        import torch.nn.functional as F

        from pytest_vidmetrics.networks.imagebind.audio import sound_clips
        from pytest_vidmetrics.networks.imagebind.video import CROPS, views

        network = self._network
        # Clips of a video below 2 s are one clip, and the crops of a square one are one crop.
        distinct = list(dict.fromkeys(pairs))
        crops = 1 if video.shape[2] == video.shape[3] else CROPS
        seen = views(video, distinct, antialias=self.compat == "av-benchmark")[:: CROPS // crops]
        banks = torch.from_numpy(sound_clips(sound))
        heard = network.audio(banks, self.chunk_size).double().mean(dim=0)
        # (clips * crops, D) to (clips, D)
        looks = network.vision(seen, self.chunk_size).double().unflatten(0, (-1, crops)).mean(dim=1)
        # Back to one row for each pair that was asked for.
        looks = looks[[distinct.index(pair) for pair in pairs]]
        # The mean over all views is not brought back to length 1 before the cosine: their spread does not count.
        per_clip = F.cosine_similarity(looks, heard[None], dim=-1)
        details = {
            **facts,
            "clips": [list(pair) for pair in pairs],
            "clip_scores": per_clip.tolist(),
            "views": len(pairs) * CROPS,
            "audio_clips": len(banks),
        }
        return MetricResult(self.name, float(F.cosine_similarity(looks.mean(dim=0), heard, dim=0)), details)
