"""Audiobox Aesthetics: how good a sound is by itself, on four axes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.audio.waveform import waveform
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.sound import AUDIOBOX, AUDIOBOX_CONFIG

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.audiobox import Audiobox

Axis = Literal["PQ", "PC", "CE", "CU"]
_AXES = ("CE", "CU", "PC", "PQ")


@register("audio.audiobox_aesthetics")
class AudioboxAesthetics(BaseMetric):
    """Predicted aesthetic rating of the sound, about 1 to 10; higher is better. No reference, no prompt.

    The score is ``axis``: production quality (``PQ``, the default and what FastVideo reports), production complexity
    (``PC``), content enjoyment (``CE``) or content usefulness (``CU``); ``details`` holds all four.

    Protocol: 16 kHz, mean of the channels, as loud as it is; windows of 10 s one after the other, the last one
    padded with zeros that the encoder does not attend to; mean over windows weighted by their samples. Silence has
    a score (its level says nothing about its quality). float32 whatever precision the configuration names.
    ``weights`` names a local file to use instead of the published one. Source: Tjandra et al., arXiv 2502.05139;
    facebookresearch/audiobox-aesthetics@2618e9d4 (CC-BY-4.0, code and weights).
    """

    requires: ClassVar[tuple[str, ...]] = ("audio",)
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "rating"
    backbone: ClassVar[str | None] = "audiobox"
    noise_floor: ClassVar[float] = 1e-2
    noise_source: ClassVar[str] = "FastVideo's tolerance between machines; threads and kernels here differ by 1e-6"
    tf32_change: ClassVar[float | None] = 7.7e-5
    dependencies: ClassVar[tuple[str, ...]] = ("transformers",)
    neutral: ClassVar[frozenset[str]] = frozenset({"weights"})

    _network: Network[Audiobox] = Network(
        "audiobox",
        ".audiobox:read",
        AUDIOBOX,
        AUDIOBOX_CONFIG,
        choose=lambda metric: sources(metric.weights),
    )

    def __init__(self, axis: Axis = "PQ", weights: str | None = None) -> None:
        one_of("axis", axis, _AXES)
        self.axis: Axis = axis
        self.weights = weights

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``sample["audio"]``: a path, ``(samples, rate)`` or a :class:`Video`.

        ``details``: ``CE``, ``CU``, ``PC``, ``PQ``, ``windows`` (each window's four) and ``seconds``. Raises
        :class:`~pytest_vidmetrics.core.errors.NoAudioStreamError` for a clip without sound.
        """
        from pytest_vidmetrics.networks.audiobox import clip_scores
        from pytest_vidmetrics.networks.shared import once
        from pytest_vidmetrics.networks.wavlm import SAMPLE_RATE

        samples = waveform(sample["audio"], SAMPLE_RATE)
        network = self._network
        windows, counts = once(("audiobox", id(network)), lambda: network.windows(samples), of=samples)
        scores = clip_scores(windows, counts)
        details = {**scores, "windows": windows, "seconds": len(samples) / SAMPLE_RATE}
        return MetricResult(self.name, scores[self.axis], details)


def sources(weights: str | None) -> tuple[Weights, ...]:
    """Return the published files, or a local file and the ``config.json`` in its folder.

    The local file is ``weights``, else the one that ``$VIDMETRICS_AUDIOBOX`` names. A torch file (``checkpoint.pt``)
    holds its configuration itself.
    """
    local = Path(weights).expanduser() if weights else AUDIOBOX.overridden()
    if local is None:
        return AUDIOBOX, AUDIOBOX_CONFIG
    path = local.absolute()
    given = Weights(AUDIOBOX.name, str(path))
    if path.suffix != ".safetensors":
        return (given,)
    return given, Weights(AUDIOBOX_CONFIG.name, str(path.with_name("config.json")))
