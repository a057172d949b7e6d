"""VBench overall consistency: how well ViCLIP finds that a clip shows its prompt."""

from __future__ import annotations

from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.prompt_consistency import PromptConsistency


@register("vbench.overall_consistency")
class OverallConsistency(PromptConsistency):
    """ViCLIP cosine of a clip and its whole prompt; higher is better.

    Source: Vchitect/VBench ``overall_consistency.py``, arXiv 2311.17982.
    """
