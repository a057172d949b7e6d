"""``fastvideo.eval.datasets.vbench``: the prompts of VBench."""

from __future__ import annotations

from pytest_vidmetrics.datasets.vbench import VBenchPromptDataset as VBenchPromptDataset
