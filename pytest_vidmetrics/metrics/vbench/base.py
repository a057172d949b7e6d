"""What the VBench dimensions share: declarations, input checks and the consistency formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.vbench.frames import as_uint8
from pytest_vidmetrics.metrics.vbench.totals import Compat, aggregate

if TYPE_CHECKING:
    import torch


class VBenchMetric(BaseMetric):
    """A VBench dimension: higher is better, no reference clip, frames as decoded.

    ``dimension`` is the one whose prompts it is for: the metric's own name, unless given.
    """

    dimension: ClassVar[str] = ""
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = True
    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"

    def clip(self, sample: Mapping[str, Any], least: int = 1) -> torch.Tensor:
        """Return ``sample["video"]`` as ``(T, 3, H, W)`` uint8 on the metric's device.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for another shape or for fewer
        than ``least`` frames.
        """
        video: torch.Tensor = sample["video"]
        if video.ndim != 4 or video.shape[1] != 3:
            raise IncompatibleSampleError(
                f"{self.name} needs frames of shape (T, 3, H, W), got {tuple(video.shape)}; pass RGB frames"
            )
        if len(video) < least:
            raise IncompatibleSampleError(
                f"{self.name} needs at least {least} frames, the clip has {len(video)}; pass a longer clip"
            )
        return as_uint8(video.to(self.device))

    def words(self, sample: Mapping[str, Any]) -> str:
        """Return the prompt. Raises ``IncompatibleSampleError`` when it is blank."""
        text = str(sample["text_prompt"]).strip()
        if not text:
            raise IncompatibleSampleError(f"{self.name} needs a text_prompt, got an empty one")
        return text


class FrameWeightedMetric(VBenchMetric):
    """A dimension whose upstream score of a corpus is a mean over frames.

    ``compat="upstream"``: a corpus weights each clip by its frames, as one process of upstream does;
    ``"fixed"``: the mean over clips. At most ``chunk_size`` frames go through
    the network at a time; it does not change the score.
    """

    def __init__(self, compat: Compat = "upstream", chunk_size: int | None = None) -> None:
        one_of("compat", compat, ("upstream", "fixed"))
        self.compat: Compat = compat
        self.chunk_size = chunk_size

    def corpus_score(self, results: Mapping[str, MetricResult]) -> float | None:
        """Return the mean over all frames of all clips, or over clips with ``compat="fixed"``."""
        return aggregate(self.name, list(results.values()), self.compat) if results else None


def temporal_consistency(features: torch.Tensor) -> tuple[float, dict[str, Any]]:
    """Return how alike the frames of a clip are, in [0, 1], and the parts for a frame-weighted mean over clips.

    For ``(T, D)`` features and each frame after the first: the mean of its cosine with the previous and with
    the first frame, negative cosines counted as 0. The score is the mean over these ``T - 1`` values.
    """
    import torch
    import torch.nn.functional as F

    unit = F.normalize(features.float(), dim=-1)
    previous = F.cosine_similarity(unit[:-1], unit[1:], dim=-1).clamp(min=0)
    first = F.cosine_similarity(unit[:1], unit[1:], dim=-1).clamp(min=0)
    similarity = ((previous + first) / 2).double()
    count = len(similarity)
    # One copy from the device instead of three.
    total, *values = torch.cat([similarity.sum()[None], previous.double(), first.double()]).tolist()
    return total / count, {
        "video_sim": total,
        "cnt_per_video": count,
        "to_previous": values[:count],
        "to_first": values[count:],
    }


def dimension_of(name: str) -> str:
    """Return the dimension whose prompts the metric ``name`` (``vbench.…``) is for."""
    return getattr(registry.metric_class(name), "dimension", "") or name.removeprefix("vbench.")
