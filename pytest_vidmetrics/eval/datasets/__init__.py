"""``fastvideo.eval.datasets``: prompts of published benchmarks."""

from __future__ import annotations

from pytest_vidmetrics.datasets.base import PromptDataset as PromptDataset
from pytest_vidmetrics.datasets.base import Sample as Sample
from pytest_vidmetrics.datasets.base import get_dataset as get_dataset
from pytest_vidmetrics.datasets.base import list_datasets as list_datasets
from pytest_vidmetrics.datasets.base import register_dataset as register_dataset
from pytest_vidmetrics.datasets.physics_iq import PhysicsIQPromptDataset as PhysicsIQPromptDataset
from pytest_vidmetrics.datasets.vbench import VBenchPromptDataset as VBenchPromptDataset
