"""VBench's per-dimension, Quality, Semantic and Total scores, by the constants of its leaderboard.

Source: Vchitect/VBench@45e79ec1, ``scripts/constant.py`` and ``cal_final_score.py``; arXiv 2311.17982.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_vidmetrics.core.errors import closest
from pytest_vidmetrics.core.types import MetricResult

Compat = Literal["upstream", "fixed"]

QUALITY = (
    "subject_consistency",
    "background_consistency",
    "temporal_flickering",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
)
SEMANTIC = (
    "object_class",
    "multiple_objects",
    "human_action",
    "color",
    "spatial_relationship",
    "scene",
    "appearance_style",
    "temporal_style",
    "overall_consistency",
)
DIMENSIONS = QUALITY + SEMANTIC
BOUNDS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(DIMENSIONS, (0.0, 1.0)),
    "subject_consistency": (0.1462, 1.0),
    "background_consistency": (0.2615, 1.0),
    "temporal_flickering": (0.6293, 1.0),
    "motion_smoothness": (0.706, 0.9975),
    "scene": (0.0, 0.8222),
    "appearance_style": (0.0009, 0.2855),
    "temporal_style": (0.0, 0.364),
    "overall_consistency": (0.0, 0.364),
}
"""Empirical lowest and highest raw score of each dimension; scores outside are not clamped."""
WEIGHTS: Mapping[str, float] = {**dict.fromkeys(DIMENSIONS, 1.0), "dynamic_degree": 0.5}
QUALITY_WEIGHT = 4.0
SEMANTIC_WEIGHT = 1.0
_FRAME_WEIGHTED = ("subject_consistency", "background_consistency")


@dataclass(frozen=True)
class Totals:
    """Normalised and weighted score of each dimension, and the three sums; ``None`` where one cannot be given.

    ``missing`` names the dimensions without a raw score.
    """

    normalised: Mapping[str, float]
    quality: float | None
    semantic: float | None
    total: float | None
    missing: tuple[str, ...]


def dimension_of(name: str) -> str:
    """Return the dimension that ``"vbench.scene"``, ``"scene"`` or ``"Scene"`` names. Raises ``ValueError``."""
    key = name.removeprefix("vbench.").strip().lower().replace(" ", "_")
    if key not in DIMENSIONS:
        raise ValueError(f"{name!r} is not a VBench dimension{closest(key, DIMENSIONS)}")
    return key


def normalise(name: str, raw: float) -> float:
    """Return the weighted position of a raw score between the bounds of its dimension, not clamped."""
    key = dimension_of(name)
    low, high = BOUNDS[key]
    return (raw - low) / (high - low) * WEIGHTS[key]


def totals(raw: Mapping[str, float], compat: Compat = "upstream") -> Totals:
    """Return the leaderboard's scores from raw scores by dimension (``imaging_quality`` on the scale of 0 to 1).

    With ``compat="upstream"`` a missing dimension counts as a raw 0, which may be less than nothing. With
    ``"fixed"`` a sum that misses a dimension is ``None``.
    """
    known = {dimension_of(name): float(value) for name, value in raw.items()}
    missing = tuple(name for name in DIMENSIONS if name not in known)
    chosen = {name: known.get(name, 0.0) for name in DIMENSIONS if compat == "upstream" or name in known}
    scores = {name: normalise(name, value) for name, value in chosen.items()}
    quality, semantic = _mean(scores, QUALITY), _mean(scores, SEMANTIC)
    total = None
    if quality is not None and semantic is not None:
        weighted = QUALITY_WEIGHT * quality + SEMANTIC_WEIGHT * semantic
        total = weighted / (QUALITY_WEIGHT + SEMANTIC_WEIGHT)
    return Totals(scores, quality, semantic, total, missing)


def _mean(scores: Mapping[str, float], names: Sequence[str]) -> float | None:
    if any(name not in scores for name in names):
        return None
    return math.fsum(scores[name] for name in names) / math.fsum(WEIGHTS[name] for name in names)


def aggregate(name: str, results: Sequence[MetricResult], compat: Compat = "upstream") -> float:
    """Return the raw score of a dimension from the results of its clips, whatever their order.

    ``compat="upstream"`` is what one process of upstream reports: both consistencies weight a clip by its frames
    and ``appearance_style`` is the mean over all frames. ``"fixed"`` is the mean over clips for every dimension.
    Clips in which ``color`` found no coloured object are left out. Raises ``ValueError`` when there is no result or
    when another one has no score.
    """
    key = dimension_of(name)
    if key == "color":
        results = [one for one in results if one.score is not None or one.details.get("object_frames") != 0]
    scores = [result.score for result in results if result.score is not None]
    if not results or len(scores) < len(results):
        reasons = sorted({result.reason for result in results if result.score is None})
        raise ValueError(f"{key}: {len(results) - len(scores)} of {len(results)} clips have no score: {reasons}")
    if compat == "upstream" and key in _FRAME_WEIGHTED:
        sums = math.fsum(result.details["video_sim"] for result in results)
        return sums / sum(result.details["cnt_per_video"] for result in results)
    if compat == "upstream" and key == "appearance_style":
        scores = [value for result in results for value in result.details["frame_results"]]
    return math.fsum(scores) / len(scores)
