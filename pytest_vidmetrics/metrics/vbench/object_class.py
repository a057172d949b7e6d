"""VBench object class: whether the object that the prompt asks for is in the frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.objects import ObjectMetric


@register("vbench.object_class")
class ObjectClass(ObjectMetric):
    """Share of 16 frames in which GRiT gives some box the label ``auxiliary_info.object``; 0 to 1.

    A label counts only if it is the whole name; an empty name is the label of a box about which GRiT says nothing. A
    frame without a box does not show the object. Upstream says the same of a frame on which its network fails, for
    whatever reason; here that is an error. So are two names. A corpus is the share of all frames, which is the mean
    over clips, since each has 16. Arguments: see :class:`ObjectMetric`.
    Source: Vchitect/VBench ``object_class.py``, arXiv 2311.17982.
    """

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["frame_results"]`` holds 1 or 0 for each frame."""
        name = self.text(sample, "object")
        if name is None:
            return self._skip(sample, "auxiliary_info has no name under 'object'")
        if " and " in name:
            raise IncompatibleSampleError(
                f"{self.name} needs auxiliary_info.object to be one name, got {name!r}: two are for "
                "vbench.multiple_objects"
            )
        found = [int(name in frame.labels) for frame in self.objects(sample)]
        details = {"object": name, "success_frame_count": sum(found), "frame_count": len(found), "frame_results": found}
        return MetricResult(self.name, sum(found) / len(found), details)
