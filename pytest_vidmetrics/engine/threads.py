"""How many threads a metric computes with: those of torch, of OpenMP and of the BLAS of numpy and scipy.

Threads of OpenMP sleep while they wait (see :func:`~pytest_vidmetrics.core.processors.wait_passively`), those of
OpenBLAS spin: beside other work they keep the one that they wait for from running. On two busy cores one PaSST
spectrogram takes 0.19 s of processor time with two BLAS threads and 0.013 s with one.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

from pytest_vidmetrics.core.processors import torch_limited
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric


@contextlib.contextmanager
def fitting_threads(metric: BaseMetric, share: int) -> Iterator[None]:
    """Let a metric work on one clip: networks on up to ``share`` threads of the processor, everything else on one.

    Small operations are as fast on one thread of an idle machine, and several hundred times as fast on a busy one.
    No pool is made larger than it was: what the user's environment says stands.
    """
    small = metric.small_operations and str(metric.device) == "cpu" and not metric.weights_files()
    with _BLAS.limited(1), torch_limited(1 if small else share):
        yield


@contextlib.contextmanager
def reducing_threads(metric: SetMetric, share: int) -> Iterator[None]:
    """Let a set metric turn its rows into a score: on up to ``share`` threads where it gains from them."""
    limit = share if metric.parallel_reduction else 1
    with _BLAS.limited(limit), torch_limited(limit):
        yield


class _Pools:
    """The BLAS pools of this process. They belong to all its threads: the last one that leaves puts them back."""

    _WITH_POOLS = ("numpy", "scipy.linalg", "torch")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._inside = 0
        self._seen: tuple[bool, ...] = ()
        self._libraries: list[Any] = []
        self._before: list[tuple[Any, int]] = []

    @contextlib.contextmanager
    def limited(self, limit: int) -> Iterator[None]:
        with self._guard:
            self._inside += 1
            # The first one in notes the counts; those inside would note what it limited.
            if self._inside == 1:
                self._before = [(one, one.num_threads) for one in self._found()]
            # Each time: a block inside may ask for less.
            for one, count in self._before:
                one.set_num_threads(min(limit, count))
        try:
            yield
        finally:
            with self._guard:
                self._inside -= 1
                if not self._inside:
                    for one, count in self._before:
                        one.set_num_threads(count)

    def _found(self) -> list[Any]:
        """Return the libraries that are loaded: looked for again after an import that brings one."""
        seen = tuple(name in sys.modules for name in self._WITH_POOLS)
        # Looking for them goes through all loaded libraries, and clips come by the thousand.
        if seen != self._seen:
            from threadpoolctl import ThreadpoolController

            self._seen = seen
            controllers = ThreadpoolController().lib_controllers
            self._libraries = [one for one in controllers if one.user_api == "blas"]
        return self._libraries


_BLAS = _Pools()
