"""``fastvideo.eval.types``: results and clips."""

from __future__ import annotations

from pytest_vidmetrics.core.types import EvalResults as EvalResults
from pytest_vidmetrics.core.types import MetricResult as MetricResult
from pytest_vidmetrics.core.types import Video as Video
