"""VBench spatial relationship: whether two objects lie beside or above each other as the prompt asks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError, closest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.objects import FRAMES, ObjectMetric
from pytest_vidmetrics.metrics.vbench.totals import Compat

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.grit.network import FrameObjects

Box = tuple[int, int, int, int]
SIDEWAYS = ("on the right of", "on the left of")
UPRIGHT = ("on the bottom of", "on the top of")
LARGEST_OVERLAP = 0.1


@register("vbench.spatial_relationship")
class SpatialRelationship(ObjectMetric):
    """Mean over 16 frames of how well two boxes lie as ``auxiliary_info.spatial_relationship`` asks; 0 to 1.

    The table holds ``object_a``, ``object_b`` and ``relationship``: "on the left of", "on the right of", "on the top
    of", "on the bottom of" or a part of one of them. A frame's score is that of its best pair, 0 without one: see
    :func:`pair_score`. Boxes are in whole pixels, cut towards zero.

    ``compat="upstream"`` follows what its published scores have: boxes of either name are one list, so that two of one
    name are a pair, and left and right, top and bottom are the same. ``"fixed"`` takes one box of each name, and
    the first must lie on the side that is asked for. Two boxes of no area overlap by 0; upstream divides by zero.
    A relationship that is none of these would always score 0 upstream; here it is an error. A corpus is the mean over
    all frames, which is that over clips, since each has 16. ``chunk_size``: see :class:`ObjectMetric`.
    Source: Vchitect/VBench ``spatial_relationship.py``, arXiv 2311.17982.
    """

    def __init__(self, compat: Compat = "upstream", chunk_size: int = FRAMES) -> None:
        super().__init__(chunk_size)
        one_of("compat", compat, ("upstream", "fixed"))
        self.compat: Compat = compat

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["frame_results"]`` holds each frame's score."""
        wanted = self.auxiliary(sample, "spatial_relationship")
        if wanted is None:
            return self._skip(sample, "auxiliary_info has no table under 'spatial_relationship'")
        first, second, relation = self.asked(wanted)
        scores = [self.frame_score(frame, first, second, relation) for frame in self.objects(sample)]
        details = {"object_a": first, "object_b": second, "relationship": relation, "frame_results": scores}
        return MetricResult(self.name, math.fsum(scores) / len(scores), details)

    def asked(self, table: Any) -> tuple[str, str, str]:
        """Return both names and the relationship. Raises ``IncompatibleSampleError``."""
        keys, where = ("object_a", "object_b", "relationship"), "auxiliary_info.spatial_relationship"
        if not isinstance(table, Mapping) or (lost := [key for key in keys if table.get(key) is None]):
            said = f"lacks {', '.join(lost)}" if isinstance(table, Mapping) else f"is {table!r:.60}"
            raise IncompatibleSampleError(f"{self.name} needs a table with {', '.join(keys)}; {where} {said}")
        first, second, relation = (self.as_text(table[key], f"{where}.{key}") for key in keys)
        if not relation or axis(relation) is None:
            raise IncompatibleSampleError(
                f"{self.name} does not know the relationship {relation!r}{closest(relation, SIDEWAYS + UPRIGHT)} "
                f"(it knows: {', '.join(SIDEWAYS + UPRIGHT)})"
            )
        return first, second, relation

    def frame_score(self, frame: FrameObjects, first: str, second: str, relation: str) -> float:
        """Return the score of a frame's best pair of boxes, 0 without one."""
        named = list(zip(frame.labels, frame.boxes, strict=True))
        if self.compat == "upstream":
            boxes = [box for label, box in named if label in (first, second)]
            return max((pair_score(a, b, relation) for a, b in itertools.combinations(boxes, 2)), default=0.0)
        chosen = ([(i, box) for i, (label, box) in enumerate(named) if label == name] for name in (first, second))
        # Both names may be the same word: a box is not a pair with itself.
        pairs = ((a, b) for (i, a), (j, b) in itertools.product(*chosen) if i != j)
        return max((pair_score(a, b, relation) for a, b in pairs if on_its_side(a, b, relation)), default=0.0)


def axis(relation: str) -> int | None:
    """Return 0 for a relationship of left and right, 1 for one of top and bottom, ``None`` for another."""
    return next((i for i, texts in enumerate((SIDEWAYS, UPRIGHT)) if any(relation in text for text in texts)), None)


def pair_score(a: Box, b: Box, relation: str) -> float:
    """Return how well two boxes lie side by side, or one above the other, whichever the relationship is about.

    The offset of the centres along its axis must be the larger one, else 0. Then 1, or 0.1 over the overlap
    (intersection over union) where that is 0.1 or more.
    """
    along = axis(relation)
    if along is None:
        return 0.0
    offsets = [abs(shift) for shift in _shift(a, b)]
    if not offsets[along] > offsets[1 - along]:
        return 0.0
    shared = overlap(a, b)
    return 1.0 if shared < LARGEST_OVERLAP else LARGEST_OVERLAP / shared


def on_its_side(a: Box, b: Box, relation: str) -> bool:
    """Whether the centre of the first box lies on that side of the second which the relationship names."""
    along = axis(relation)
    if along is None:
        return False
    ahead, behind = (SIDEWAYS, UPRIGHT)[along]
    shift = _shift(b, a)[along]
    return (relation in ahead and shift > 0) or (relation in behind and shift < 0)


def _shift(a: Box, b: Box) -> tuple[float, float]:
    """Return how far the centre of ``b`` is to the right of and below that of ``a``."""
    return (b[0] + b[2]) / 2 - (a[0] + a[2]) / 2, (b[1] + b[3]) / 2 - (a[1] + a[3]) / 2


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over the union of two boxes, 0 where the union is empty."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(0, width) * max(0, height)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - common
    return common / union if union > 0 else 0.0
