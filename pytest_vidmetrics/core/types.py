"""Results and inputs as the engine, the metrics and the gates pass them around."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypedDict, overload

if TYPE_CHECKING:
    import numpy as np
    import torch

Status = Literal["scored", "skipped", "failed", "unavailable"]

PATH_KEYS = (
    "video",
    "reference",
    "audio",
    "reference_audio",
    "reference_take2",
    "video_mask",
    "reference_mask",
    "reference_take2_mask",
    "image_path",
    "latent",
    "reference_latent",
)
"""Sample keys whose text value is a file, never text to score."""


def _number(score: Any) -> float | None:
    """Return what a metric gave as its score as a float, or ``None`` for what is no number."""
    if isinstance(score, (str, bytes)):
        # `float("1.5")` would make a score of a text.
        return None
    try:
        return float(score)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # torch raises the last for several elements
        return None


@dataclass(frozen=True, slots=True)
class MetricResult:
    """What one metric says about one sample, or about the whole corpus.

    ``score`` is a finite float exactly when ``status`` is ``"scored"``; otherwise it is ``None`` and
    ``details["reason"]`` says why (``details["skipped"]`` repeats it for skipped samples). ``details`` holds
    JSON values only.
    """

    name: str
    score: float | None
    details: dict[str, Any] = field(default_factory=dict)
    status: Status = "scored"

    def __post_init__(self) -> None:
        """Turn a missing score into a skip and what is no finite number into a failure, never into a number.

        Numbers of numpy, torch and ``bool`` become floats. Beside another status than ``"scored"`` none is a score.
        """
        if self.score is None:
            if self.status == "scored":
                object.__setattr__(self, "status", "skipped")
            return
        number = _number(self.score)
        if self.status != "scored":
            said = f"the metric says {self.status!r} and gives {self.score!r} all the same"
            self._lose_score(self.status, str(self.details.get("reason") or said))
        elif number is None:
            self._lose_score("failed", f"the score is {self.score!r:.80}, not a number")
        elif not math.isfinite(number):
            self._lose_score("failed", f"the score is {number}, not a finite number")
        else:
            object.__setattr__(self, "score", number)

    def _lose_score(self, status: Status, reason: str) -> None:
        object.__setattr__(self, "details", {**self.details, "reason": reason})
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "score", None)

    @classmethod
    def skipped(cls, name: str, reason: str) -> MetricResult:
        """Return a result for a sample that the metric does not apply to."""
        return cls(name, None, {"skipped": reason, "reason": reason}, "skipped")

    @classmethod
    def failed(cls, name: str, reason: str) -> MetricResult:
        """Return a result for a sample that could not be scored."""
        return cls(name, None, {"reason": reason}, "failed")

    @classmethod
    def unavailable(cls, name: str, reason: str) -> MetricResult:
        """Return a result for a metric whose weights or library are missing."""
        return cls(name, None, {"reason": reason}, "unavailable")

    @classmethod
    def unanswered(cls, name: str, reason: str, details: dict[str, Any] | None = None) -> MetricResult:
        """Return a failure of a judge on a good sample: what it says cannot be read as a score.

        It would come out the same again, so that it is stored like a score. A corpus may have a score without a few
        such samples, see :attr:`~pytest_vidmetrics.metrics.base.BaseMetric.max_missing`.
        """
        return cls(name, None, {**(details or {}), "reason": reason, "unanswered": True}, "failed")

    @property
    def is_unanswered(self) -> bool:
        """Whether it is what :meth:`unanswered` returns."""
        return self.status == "failed" and self.details.get("unanswered") is True

    @property
    def reason(self) -> str:
        """Why there is no score; empty for a scored sample."""
        return str(self.details.get("reason", "")) if self.score is None else ""


class EvalResults(list[dict[str, MetricResult]]):
    """Per-sample results in input order, with the set metrics' results in :attr:`corpus`.

    A slice keeps :attr:`corpus` only when it is the whole list: a corpus score says nothing about a part.
    """

    def __init__(
        self,
        samples: Iterable[dict[str, MetricResult]] | None = None,
        corpus: Mapping[str, MetricResult] | None = None,
    ) -> None:
        super().__init__(samples or [])
        self.corpus: dict[str, MetricResult] = dict(corpus or {})

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> dict[str, MetricResult]: ...
    @overload
    def __getitem__(self, index: slice, /) -> EvalResults: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> dict[str, MetricResult] | EvalResults:
        """Return one sample's results, or an :class:`EvalResults` for a slice."""
        if isinstance(index, slice):
            whole = len(range(*index.indices(len(self)))) == len(self)
            return EvalResults(super().__getitem__(index), self.corpus if whole else None)
        return super().__getitem__(index)


@dataclass
class Video:
    """A clip by path or by frames.

    ``frames`` is a ``(T, C, H, W)`` tensor, uint8 in 0..255 or floating point in [0, 1]; ``fps`` is frames per
    second; ``audio`` is ``(samples,)`` or ``(channels, samples)`` float32 in [-1, 1] at ``audio_sr`` Hz.
    """

    source: str | None = None
    fps: float | None = None
    frames: torch.Tensor | None = None
    audio: np.ndarray | None = None
    audio_sr: int | None = None

    def __post_init__(self) -> None:
        """Store a path-like source as text."""
        if self.source is not None:
            self.source = str(self.source)

    def has_frames(self) -> bool:
        """Whether the frames are in memory."""
        return self.frames is not None

    def has_audio(self) -> bool:
        """Whether the audio is in memory."""
        return self.audio is not None


class SampleValues(TypedDict, total=False):
    """The sample keys that metrics of this package read; third-party metrics may read others.

    ``video`` and ``reference`` reach a metric as ``(T, C, H, W)`` tensors on its device.
    """

    video: Any
    reference: Any
    audio: Any
    reference_audio: Any
    text_prompt: str
    fps: float
    auxiliary_info: dict[str, Any]
    reference_text: str
    language: str
    role: str
    scenario: str
    view: str
    reference_take2: Any
    video_mask: Any
    reference_mask: Any
    reference_take2_mask: Any
    actions: Any
    calibration: Any
    mouse_pitch_sign: float
    image_path: str
    latent: str
    reference_latent: str
    action: Any
