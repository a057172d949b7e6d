"""CLAP score: how well the sound fits the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import NoAudioStreamError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.waveform import peak_normalise, waveform
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.sound import CLAP_FUSED, CLAP_MUSIC_SPEECH, CLAP_TOKENIZER

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from pytest_vidmetrics.networks.clap.towers import ClapAudio, ClapText, ClapTokenizer


Compat = Literal["fastvideo", "av-benchmark"]
LongAudio = Literal["fusion", "windows"]

LONGEST_TEXT = 512
"""Tokens for which the text tower has positions."""


@register("audio.clap_score")
class ClapScore(BaseMetric):
    """Cosine of the CLAP embeddings of ``audio`` and ``text_prompt``, in [-1, 1]; higher is better.

    ``compat="fastvideo"``: the network ``clap-htsat-fused``, sound brought to a peak of -1 dBFS (so that a gain does
    not change the score; digital silence is skipped). ``compat="av-benchmark"``: the network
    ``music_speech_audioset``, sound with its mean removed and at its own level; silence has a score.

    Sound is mono at 48 kHz; ``seconds`` hears only the beginning. Beyond 10 s, ``long_audio="fusion"`` (default
    where the network fuses) gives the network the whole, shrunk, and the middles of three thirds;
    ``"windows"`` is the mean cosine of 10 s windows. The references draw the places at random. Text beyond
    ``max_tokens`` tokens is left out.

    Details: ``window_scores``, ``seconds``, ``tokens``, ``dropped_tokens``, ``long_audio`` (``None`` up to 10 s).
    Source: Wu et al., arXiv 2211.06687; FastVideo ``audio.clap_score``; av-benchmark.
    """

    requires: ClassVar[tuple[str, ...]] = ("audio", "text_prompt")
    requires_reference: ClassVar[bool] = False
    unit: ClassVar[str] = "cosine"
    value_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    noise_floor: ClassVar[float] = 1e-5
    noise_source: ClassVar[str] = "filled weights, 1 to 3 threads: 1e-7; one CPU to another: not measured"
    tf32_change: ClassVar[float | None] = 2.5e-4
    backbone: ClassVar[str | None] = "clap"

    _towers: Network[tuple[ClapAudio, ClapText]] = Network(
        "clap",
        ".clap.towers:read",
        CLAP_FUSED,
        CLAP_MUSIC_SPEECH,
        choose=lambda metric: [CLAP_FUSED if metric.compat == "fastvideo" else CLAP_MUSIC_SPEECH],
    )
    _tokenizer: Network[ClapTokenizer] = Network(
        "clap-tokenizer",
        ".clap.towers:read_tokenizer",
        CLAP_TOKENIZER,
        options=["max_tokens"],
    )

    def __init__(
        self,
        compat: Compat = "fastvideo",
        long_audio: LongAudio | None = None,
        seconds: float | None = None,
        max_tokens: int = 77,
    ) -> None:
        one_of("compat", compat, ("fastvideo", "av-benchmark"))
        long_audio = long_audio or ("fusion" if compat == "fastvideo" else "windows")
        one_of("long_audio", long_audio, ("fusion", "windows"))
        if compat == "av-benchmark" and long_audio == "fusion":
            raise ValueError("the network of av-benchmark does not fuse: long_audio must be 'windows'")
        if seconds is not None and not 0 < seconds < float("inf"):
            raise ValueError(f"seconds must be above 0, got {seconds}")
        if not 3 <= max_tokens <= LONGEST_TEXT:
            raise ValueError(f"max_tokens is 3 to {LONGEST_TEXT}, got {max_tokens}")
        self.compat: Compat = compat
        self.long_audio: LongAudio = long_audio
        self.seconds = seconds
        self.max_tokens = max_tokens

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one sample; skipped with the reason when there is no sound in it."""
        from pytest_vidmetrics.networks.clap.mel import FRAMES, SAMPLE_RATE, log_mel_frames

        try:
            samples = self._sound(sample["audio"])
        except NoAudioStreamError as error:
            return self._skip(sample, str(error))
        tokens, dropped = self._tokenizer(str(sample["text_prompt"]))
        text = self._towers[1](tokens)
        scores = [_cosine(audio, text) for audio in self._embeddings(samples)]
        long = log_mel_frames(len(samples)) > FRAMES if self.long_audio == "fusion" else len(scores) > 1
        details = {
            "window_scores": scores,
            "seconds": len(samples) / SAMPLE_RATE,
            "tokens": len(tokens),
            "dropped_tokens": dropped,
            "long_audio": self.long_audio if long else None,
        }
        return MetricResult(self.name, sum(scores) / len(scores), details)

    def _sound(self, value: Any) -> npt.NDArray[np.float32]:
        """Return the samples at 48 kHz that are heard, at the protocol's level."""
        from pytest_vidmetrics.networks.clap.mel import SAMPLE_RATE

        samples = waveform(value, SAMPLE_RATE)
        if self.compat == "av-benchmark":
            samples = samples - samples.mean(dtype="float64").astype("float32")
        if self.seconds is not None:
            samples = samples[: max(1, round(self.seconds * SAMPLE_RATE))]
        return peak_normalise(samples) if self.compat == "fastvideo" else samples

    def _embeddings(self, samples: npt.NDArray[np.float32]) -> list[torch.Tensor]:
        from pytest_vidmetrics.networks.clap.mel import fused_features, plain_features, windows

        audio = self._towers[0]
        parts = [samples] if self.long_audio == "fusion" else windows(samples)
        features = fused_features if audio.fused else plain_features
        return [audio(features(part)) for part in parts]


def _cosine(audio: torch.Tensor, text: torch.Tensor) -> float:
    """Return the cosine of two float32 vectors, in float64."""
    from torch.nn.functional import cosine_similarity

    return float(cosine_similarity(audio.double(), text.double(), dim=0, eps=1e-8))
