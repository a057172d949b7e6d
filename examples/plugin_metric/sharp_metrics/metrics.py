"""Two metrics: how much of its reference's edges a clip lost, and how far two sets are apart in colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics import BaseMetric, FeatureSet, MetricResult, SetMetric, register
from pytest_vidmetrics.functional import frechet_distance

# Heavy libraries are imported where they are used: `vidmetrics list` and collecting tests stay fast.
if TYPE_CHECKING:
    import numpy as np
    import torch


@register("sharp.edge_loss")
class EdgeLoss(BaseMetric):
    """Share of the reference's edges that the clip does not have; lower is better, 0 is identical, 1 is none.

    The mean over frames of ``min(1, |G(clip) - G(reference)| / |G(reference)|)``, where G are the differences of
    neighbouring pixels and ``|.|`` their mean absolute value. ``details["per_frame"]`` lists the shares.
    """

    higher_is_better: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    noise_floor: ClassVar[float] = 1e-6
    noise_source: ClassVar[str] = "float32 means of 8-bit pixels"

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` in [0, 1]."""
        pairs = zip(sample["video"], sample["reference"], strict=False)
        lost = [min(1.0, edges(clip - reference) / max(edges(reference), 1e-6)) for clip, reference in pairs]
        return MetricResult(self.name, sum(lost) / len(lost), {"per_frame": lost})


def edges(frame: torch.Tensor) -> float:
    """Return the mean absolute difference of neighbouring pixels of a ``(3, H, W)`` frame."""
    return float(frame.diff(dim=1).abs().mean() + frame.diff(dim=2).abs().mean())


@register("sharp.colour_distance")
class ColourDistance(SetMetric):
    """Fréchet distance of the clips' mean colours; lower is better.

    A row is the mean and the spread of each channel. Rows are kept in the store, so that a second run decodes nothing.
    """

    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (0.0, float("inf"))
    noise_floor: ClassVar[float] = 1e-7
    noise_source: ClassVar[str] = "float32 means of 8-bit pixels"

    def features(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the ``(1, 6)`` row of a clip."""
        import torch

        channels = sample["video"].double().transpose(0, 1).flatten(1)
        return torch.cat([channels.mean(dim=1), channels.std(dim=1)])[None].numpy()

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Score two sets of rows; no clip is opened."""
        return MetricResult(self.name, max(0.0, frechet_distance(candidate.rows, reference.rows)))
