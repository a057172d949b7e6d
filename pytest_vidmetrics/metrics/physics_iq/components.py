"""The four comparisons of Physics-IQ and the score made of them (Motamed et al., 2025)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytest_vidmetrics.core.errors import IncompatibleSampleError

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_vidmetrics.metrics.physics_iq.clips import Clip


@dataclass(frozen=True)
class Components:
    """What one clip scores against another; the lists are rounded to 4 places, as published."""

    mse_per_frame: tuple[float, ...]
    spatiotemporal_iou_per_frame: tuple[float, ...]
    spatial_iou: float
    weighted_spatial_iou: float

    @property
    def mse(self) -> float:
        """Mean over frames."""
        return math.fsum(self.mse_per_frame) / len(self.mse_per_frame)

    @property
    def spatiotemporal_iou(self) -> float:
        """Mean over frames."""
        return math.fsum(self.spatiotemporal_iou_per_frame) / len(self.spatiotemporal_iou_per_frame)

    def details(self, prefix: str = "") -> dict[str, Any]:
        """Return JSON values under FastVideo's names."""
        values = {
            "mse_per_frame": list(self.mse_per_frame),
            "spatiotemporal_iou_per_frame": list(self.spatiotemporal_iou_per_frame),
            "spatial_iou": self.spatial_iou,
            "weighted_spatial_iou": self.weighted_spatial_iou,
            "mse_mean": self.mse,
            "spatiotemporal_iou_mean": self.spatiotemporal_iou,
        }
        return {prefix + key: value for key, value in values.items()}

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Components:
        """Return the components that :meth:`details` wrote, without a prefix."""
        return cls(
            tuple(details["mse_per_frame"]),
            tuple(details["spatiotemporal_iou_per_frame"]),
            float(details["spatial_iou"]),
            float(details["weighted_spatial_iou"]),
        )


def compare(first: Clip, second: Clip) -> Components:
    """Compare two prepared clips. Raises ``IncompatibleSampleError`` for different lengths."""
    if len(first.frames) != len(second.frames):
        raise IncompatibleSampleError(
            f"Physics-IQ compares clips of one length, not {len(first.frames)} and {len(second.frames)} frames"
        )
    squares = _squares(first.frames, second.frames)
    count = first.frames[0].numel() * 255.0**2
    both = (first.masks & second.masks).flatten(1).sum(dim=1).tolist()
    either = (first.masks | second.masks).flatten(1).sum(dim=1).tolist()
    ever_first, ever_second = first.masks.any(0), second.masks.any(0)
    # Counts of frames instead of means: the common factor 1/T cancels, and integers sum exactly.
    time_first, time_second = first.masks.sum(0), second.masks.sum(0)
    low, high = time_first.minimum(time_second).sum(), time_first.maximum(time_second).sum()
    return Components(
        tuple(round(total / count, 4) for total in squares),
        tuple(round(_ratio(a, b), 4) for a, b in zip(both, either, strict=True)),
        _ratio(int((ever_first & ever_second).sum()), int((ever_first | ever_second).sum())),
        _ratio(int(low), int(high)),
    )


def _squares(first: Tensor, second: Tensor) -> list[int]:
    """Return the summed squared differences of each frame; one at a time, they stay in the processor's cache."""
    import torch

    found = [(a.short() - b.short()).int().square_().sum() for a, b in zip(first, second, strict=True)]
    squares: list[int] = torch.stack(found).tolist()
    return squares


def _ratio(part: int, whole: int) -> float:
    # Where neither moves, both agree.
    return part / whole if whole else 1.0


def score(found: Sequence[float], variance: Sequence[float]) -> float | None:
    """Return the 0..100 score of (mse, st, s, ws) against that of take 2; ``None`` when a ratio is undefined."""
    if not all(variance[1:]):
        return None
    ratios = [a / v for a, v in zip(found[1:], variance[1:], strict=True)]
    return round(min(100.0, max(0.0, 100 * (sum(ratios) / 3 - (found[0] - variance[0])))), 2)


_SCALARS = ("spatial_iou", "weighted_spatial_iou")
_LISTS = ("mse_per_frame", "spatiotemporal_iou_per_frame")


def corpus(details: Iterable[Mapping[str, Any]], compat: Literal["upstream", "pooled"]) -> dict[str, float | None]:
    """Return the corpus score ``physics_iq`` and its eight terms from the details of scored samples.

    ``"upstream"`` averages the views of a scenario, then the scenarios, and rounds the variance terms to 4 places
    (spatial ones 5), as the benchmark does; ``"pooled"`` averages all frames and samples, as FastVideo does.
    Raises ``ValueError`` without samples.
    """
    rows = list(details)
    if not rows:
        raise ValueError("no scored samples to aggregate")
    scenarios: dict[str, list[Mapping[str, Any]]] = {}
    for index, row in enumerate(rows):
        # A clip without a scenario is one of its own.
        name = str(row.get("scenario") or index) if compat == "upstream" else ""
        scenarios.setdefault(name, []).append(row)
    terms: dict[str, list[float]] = {}
    for members in scenarios.values():
        for side, prefix in (("a", ""), ("v", "pv_")):
            for short, key in (("mse", _LISTS[0]), ("st", _LISTS[1]), ("s", _SCALARS[0]), ("ws", _SCALARS[1])):
                terms.setdefault(f"{side}_{short}", []).append(_mean(members, prefix + key))
    means = {key: math.fsum(values) / len(values) for key, values in terms.items()}
    if compat == "upstream":
        places = {"v_mse": 4, "v_st": 4, "v_s": 5, "v_ws": 5}
        means.update({key: round(means[key], digits) for key, digits in places.items()})
    order = ("mse", "st", "s", "ws")
    found, variance = [means[f"a_{k}"] for k in order], [means[f"v_{k}"] for k in order]
    return {"physics_iq": score(found, variance), **means}


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    values = [v for row in rows for v in (row[key] if isinstance(row[key], list) else [row[key]])]
    return math.fsum(values) / len(values)
