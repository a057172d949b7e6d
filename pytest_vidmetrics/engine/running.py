"""Workers that empty one pool."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.evaluator_worker import EvalWorker
from pytest_vidmetrics.engine.pool import VideoPool


def drain(pool: VideoPool, workers: Sequence[EvalWorker], names: list[str]) -> list[dict[str, MetricResult]]:
    """Let every worker take samples until there are none, and return the results in the order of the samples.

    The first worker runs in the calling thread. When anything is raised, the others finish the sample that they
    are at; no thread is left when this returns or raises.
    """
    results: dict[int, dict[str, MetricResult]] = {}
    errors: list[BaseException] = []

    def work(worker: EvalWorker) -> None:
        try:
            while (item := pool.get()) is not None:
                try:
                    results[item.index] = worker.score(item, names)
                finally:
                    pool.release(item)
        except BaseException as error:
            errors.append(error)
            pool.stop()

    with pool:
        threads = [
            threading.Thread(target=work, args=(worker,), name=f"vidmetrics-{i}", daemon=True)
            for i, worker in enumerate(workers[1:], start=1)
        ]
        try:
            for thread in threads:
                thread.start()
            work(workers[0])
            for thread in threads:
                thread.join()
        finally:
            pool.stop()
            for thread in threads:
                thread.join()
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(results))]
