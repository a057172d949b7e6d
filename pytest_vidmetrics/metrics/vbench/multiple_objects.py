"""VBench multiple objects: whether both objects that the prompt asks for are in the same frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.objects import ObjectMetric


@register("vbench.multiple_objects")
class MultipleObjects(ObjectMetric):
    """Share of 16 frames in which both names of ``auxiliary_info.object`` ("a dog and a cat") are labels; 0 to 1.

    The two names stand around one " and "; a label counts only if it is a whole name, without the blanks around it.
    Two equal names are met by one box, as upstream. A corpus is the share of all frames, which is the mean over
    clips, since each has 16.
    Arguments: see :class:`ObjectMetric`. Source: Vchitect/VBench ``multiple_objects.py``, arXiv 2311.17982.
    """

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["frame_results"]`` holds 1 or 0 for each frame."""
        text = self.text(sample, "object")
        if text is None:
            return self._skip(sample, "auxiliary_info has no two names under 'object'")
        names = self.two_names(text)
        found = [int(names <= set(frame.labels)) for frame in self.objects(sample)]
        details = {"object": text, "success_frame_count": sum(found), "frame_count": len(found), "frame_results": found}
        return MetricResult(self.name, sum(found) / len(found), details)

    def two_names(self, text: str) -> set[str]:
        """Return the names around " and ". Raises ``IncompatibleSampleError`` unless there are two."""
        names = [name.strip() for name in text.split(" and ")]
        if len(names) != 2:
            raise IncompatibleSampleError(
                f"{self.name} needs auxiliary_info.object to be two names, such as 'dog and cat', got {text!r}"
            )
        return set(names)
