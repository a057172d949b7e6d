"""VBench temporal style: how well ViCLIP finds that a clip shows its prompt, which names a camera or time style."""

from __future__ import annotations

from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.prompt_consistency import PromptConsistency


@register("vbench.temporal_style")
class TemporalStyle(PromptConsistency):
    """ViCLIP cosine of a clip and its whole prompt; higher is better.

    The same computation as ``vbench.overall_consistency``: the two dimensions differ only in the prompts of
    their suites. Source: Vchitect/VBench ``temporal_style.py``, arXiv 2311.17982.
    """
