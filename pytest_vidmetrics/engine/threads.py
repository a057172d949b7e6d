"""How many threads a metric computes with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pytest_vidmetrics.metrics.base import BaseMetric


@contextlib.contextmanager
def fitting_threads(metric: BaseMetric) -> Iterator[None]:
    """Let a metric of small operations compute on one thread of the processor, and put the number back.

    One thread is as fast on an idle machine, and several hundred times as fast on one whose other work keeps the
    threads waiting for each other.
    """
    if not metric.small_operations or str(metric.device) != "cpu" or metric.weights_files():
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
