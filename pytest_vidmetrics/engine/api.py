"""One-call scoring."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.types import MetricResult, Video
from pytest_vidmetrics.engine.evaluator import Evaluator, Params

if TYPE_CHECKING:
    import torch


def create_evaluator(
    metrics: Sequence[str] | str = "all",
    device: str | Sequence[str] = "auto",
    num_gpus: int = 1,
    compile: bool = False,
    **options: Any,
) -> Evaluator:
    """Return an :class:`Evaluator`; every one of its arguments is passed on."""
    return Evaluator(metrics, device, num_gpus, compile, **options)


def evaluate(
    generated: torch.Tensor | Video | str | os.PathLike[str],
    reference: torch.Tensor | Video | str | os.PathLike[str] | None = None,
    metrics: Sequence[str] | str = "all",
    device: str | Sequence[str] = "auto",
    *,
    metric_kwargs: Params | None = None,
    **sample: Any,
) -> dict[str, MetricResult]:
    """Score one clip once; ``sample`` holds further sample keys. Load an :class:`Evaluator` to score many."""
    values = {"video": generated, **sample}
    if reference is not None:
        values["reference"] = reference
    with Evaluator(metrics, device, metric_kwargs=metric_kwargs) as evaluator:
        return evaluator.evaluate(**values)
