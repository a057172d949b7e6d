"""``fastvideo.eval.datasets.registry``: datasets by name."""

from __future__ import annotations

from pytest_vidmetrics.datasets.base import get_dataset as get_dataset
from pytest_vidmetrics.datasets.base import list_datasets as list_datasets
from pytest_vidmetrics.datasets.base import register_dataset as register_dataset
