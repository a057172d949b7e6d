"""The names and the module tree of ``fastvideo.eval``, over this package's engine.

A script is ported by one changed import: ``from fastvideo.eval import ...`` becomes
``from pytest_vidmetrics.eval import ...``. What behaves differently, and why, is in ``docs/porting.md``. New code
imports from :mod:`pytest_vidmetrics` itself.
"""

from __future__ import annotations

from pytest_vidmetrics.core.cache import get_cache_dir as get_cache_dir
from pytest_vidmetrics.core.types import EvalResults as EvalResults
from pytest_vidmetrics.core.types import MetricResult as MetricResult
from pytest_vidmetrics.core.types import Video as Video
from pytest_vidmetrics.core.weights import ensure_checkpoint as ensure_checkpoint
from pytest_vidmetrics.datasets.folders import samples_from as samples_from
from pytest_vidmetrics.engine.api import create_evaluator as create_evaluator
from pytest_vidmetrics.engine.api import evaluate as evaluate
from pytest_vidmetrics.engine.evaluator import Evaluator as Evaluator
from pytest_vidmetrics.engine.inputs import as_video as as_video
from pytest_vidmetrics.metrics.base import BaseMetric as BaseMetric
from pytest_vidmetrics.metrics.registry import get_metric as get_metric
from pytest_vidmetrics.metrics.registry import list_metrics as list_metrics
from pytest_vidmetrics.metrics.registry import register as register
