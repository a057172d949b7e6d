"""VBench's Quality, Semantic and Total scores as gates of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_vidmetrics.metrics.composite import CompositeMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench import totals


class _Score(CompositeMetric):
    """A weighted mean of normalised dimensions, by the leaderboard's constants; see :mod:`.totals`.

    The details hold each dimension's raw and normalised score. Unavailable when a dimension is: upstream counts a
    missing one as a raw 0, which is not the score of anything.
    Source: Vchitect/VBench ``scripts/cal_final_score.py``, arXiv 2311.17982.
    """

    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    which: ClassVar[str] = ""

    def combine(self, scores: Mapping[str, float]) -> float:
        """Return the score from the raw score of each dimension."""
        found: float | None = getattr(totals.totals(scores, compat="fixed"), self.which)
        if found is None:
            raise ValueError(f"{self.name} needs every one of {', '.join(self.parts)}")
        return found

    def describe(self, scores: Mapping[str, float]) -> dict[str, Any]:
        """Return the raw and the normalised score of each dimension."""
        return {"raw": dict(scores), "normalised": dict(totals.totals(scores, compat="fixed").normalised)}


def _names(dimensions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"vbench.{name}" for name in dimensions)


@register("vbench.quality")
class Quality(_Score):
    """Quality Score: the seven dimensions that need no prompt, dynamic degree at half weight; nominally in [0, 1]."""

    parts: ClassVar[tuple[str, ...]] = _names(totals.QUALITY)
    which: ClassVar[str] = "quality"


@register("vbench.semantic")
class Semantic(_Score):
    """Semantic Score: the mean of the nine dimensions that look at the prompt; nominally in [0, 1]."""

    parts: ClassVar[tuple[str, ...]] = _names(totals.SEMANTIC)
    which: ClassVar[str] = "semantic"


@register("vbench.total")
class Total(_Score):
    """Total Score: (4 Quality + Semantic) / 5; nominally in [0, 1]."""

    parts: ClassVar[tuple[str, ...]] = _names(totals.DIMENSIONS)
    which: ClassVar[str] = "total"
