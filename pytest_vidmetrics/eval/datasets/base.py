"""``fastvideo.eval.datasets.base``: what a prompt dataset is."""

from __future__ import annotations

from pytest_vidmetrics.datasets.base import PromptDataset as PromptDataset
from pytest_vidmetrics.datasets.base import Sample as Sample
