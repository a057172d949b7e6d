"""Divergence of the AudioSet classes heard in a generated sound from those of its reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.passt_metric import PasstMetric
from pytest_vidmetrics.metrics.audio.passt_protocol import Compat, Protocol, choose
from pytest_vidmetrics.metrics.registry import register

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_vidmetrics.metrics.audio.passt_sound import Heard

    Logits = npt.NDArray[np.float64]

PROTOCOLS = {
    "fastvideo": Protocol(windows="all", pad_above_s=1.5),
    "av-benchmark": Protocol(peak_normalise=False, remove_mean=True, windows="first"),
}


@register("audio.kl_divergence")
class KLDivergence(PasstMetric):
    """KL(reference || generated) over the 527 classes of PaSST, in nats; lower is better, 0 is the same sound.

    ``compat="fastvideo"`` normalises the peak to -1 dBFS and averages the logits of windows of 10 s every 5 s;
    ``"av-benchmark"`` subtracts the mean and reads the first 10 s. ``protocol`` replaces single rules
    (:class:`~pytest_vidmetrics.metrics.audio.passt_protocol.Protocol`), ``collect="max"`` takes the largest logit of
    the windows instead of the mean, ``weights`` is a local file to use instead of the published weights.

    A clip without sound is skipped, and so are silence where the peak is normalised, and less than 0.15 s.

    ``details``: ``kl_softmax`` (the score), ``kl_sigmoid`` (the same sum over sigmoids: not a divergence, it can be
    negative), ``windows`` and ``reference_windows``, ``unread_s`` and ``reference_unread_s`` (seconds in no window).
    """

    requires: ClassVar[tuple[str, ...]] = ("audio", "reference_audio")
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "nat"
    value_range: ClassVar[tuple[float, float] | None] = (0.0, float("inf"))
    noise_floor: ClassVar[float] = 1e-5
    noise_source: ClassVar[str] = "logits of 1, 2 and 4 threads differ by 5e-6"
    tf32_change: ClassVar[float | None] = 1e-4
    dependencies: ClassVar[tuple[str, ...]] = ("hear21passt",)
    backbone: ClassVar[str | None] = "passt"
    neutral: ClassVar[frozenset[str]] = frozenset({"weights"})

    def __init__(
        self,
        compat: Compat = "fastvideo",
        protocol: Mapping[str, Any] | None = None,
        collect: Literal["mean", "max"] = "mean",
        weights: str | None = None,
    ) -> None:
        one_of("collect", collect, ("mean", "max"))
        self.rules = choose(PROTOCOLS, compat, protocol)
        self.compat = compat
        self.protocol = dict(protocol) if protocol else None
        self.collect = collect
        self.weights = weights

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one pair of sounds.

        Raises :class:`~pytest_vidmetrics.core.errors.NoAudioStreamError` and its subclass ``SilentAudioError``
        (skips) and :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError`, each naming the side.
        """
        from pytest_vidmetrics.metrics.audio.passt_sound import hear
        from pytest_vidmetrics.networks.passt import TooShortError

        network = self._network
        try:
            generated, reference = (hear(network, sample[key], key, self.rules) for key in self.requires)
        except TooShortError as error:
            return self._skip(sample, str(error))
        first, second = self._collected(generated), self._collected(reference)
        details = {
            "kl_softmax": _divergence(_log_softmax(second), _log_softmax(first)),
            "kl_sigmoid": _divergence(_log_sigmoid(second), _log_sigmoid(first)),
            "windows": len(generated.windows),
            "reference_windows": len(reference.windows),
            "unread_s": generated.unread_s,
            "reference_unread_s": reference.unread_s,
        }
        return MetricResult(self.name, details["kl_softmax"], details)

    def _collected(self, heard: Heard) -> Logits:
        import numpy as np

        logits = np.stack([window.logits for window in heard.windows]).astype(np.float64)
        found: Logits = logits.mean(axis=0) if self.collect == "mean" else logits.max(axis=0)
        return found


def _divergence(target: Logits, found: Logits) -> float:
    """Return ``sum p (log p - log q)`` of two arrays of logarithms."""
    import numpy as np

    return float((np.exp(target) * (target - found)).sum())


def _log_softmax(logits: Logits) -> Logits:
    import numpy as np

    # Less the largest one, whose exponential could overflow.
    shifted = logits - logits.max()
    found: Logits = shifted - np.log(np.exp(shifted).sum())
    return found


def _log_sigmoid(logits: Logits) -> Logits:
    import numpy as np

    # The logarithm of 1 / (1 + exp(-x)), which does not overflow.
    found: Logits = -np.logaddexp(0.0, -logits)
    return found
