"""``fastvideo.eval.registry``: metrics by name."""

from __future__ import annotations

from pytest_vidmetrics.metrics.registry import get_metric as get_metric
from pytest_vidmetrics.metrics.registry import list_metrics as list_metrics
from pytest_vidmetrics.metrics.registry import missing_dependencies as missing_dependencies
from pytest_vidmetrics.metrics.registry import register as register
from pytest_vidmetrics.metrics.registry import resolve_group as resolve_group
