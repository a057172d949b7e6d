"""Workers that empty one pool."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pytest_vidmetrics.core.errors import DeviceLostError
from pytest_vidmetrics.engine.pool import VideoPool
from pytest_vidmetrics.engine.work import Job, Outcome
from pytest_vidmetrics.engine.worker import EvalWorker


def drain(pool: VideoPool, workers: Sequence[EvalWorker]) -> dict[int, list[list[Outcome]]]:
    """Let every worker take jobs until there are none, and return the outcomes of each job by its number.

    The first worker runs in the calling thread. When anything is raised, the others finish the job that they are at;
    no thread is left when this returns or raises. What a worker was at when it lost its device is done by another one;
    :class:`~pytest_vidmetrics.core.errors.DeviceLostError` is raised when there is none.
    """
    outcomes: dict[int, list[list[Outcome]]] = {}
    errors: list[BaseException] = []
    lost: list[DeviceLostError] = []
    dropped: list[Job] = []

    def work(worker: EvalWorker) -> None:
        try:
            while (item := pool.get()) is not None:
                try:
                    outcomes[item.job.index] = worker.run(item)
                except DeviceLostError as error:
                    lost.append(error)
                    dropped.append(item.job)
                    return
                finally:
                    # Also when running raised: the pool waits for its room.
                    pool.release(item)
        except BaseException as error:
            errors.append(error)
            # Wakes those who wait for clips.
            pool.stop()

    with pool:
        threads = [
            threading.Thread(target=work, args=(worker,), name=f"vidmetrics-{i}", daemon=True)
            for i, worker in enumerate(workers[1:], start=1)
        ]
        try:
            for thread in threads:
                thread.start()
            # In the calling thread, so that Ctrl-C reaches it.
            work(workers[0])
            for thread in threads:
                thread.join()
        finally:
            # Before joining: one that waits for a clip would wait for ever.
            pool.stop()
            for thread in threads:
                thread.join()
    if errors:
        raise errors[0]
    left = [worker for worker in workers if not worker.is_lost]
    if lost and not left:
        raise lost[0]
    for job in dropped:
        outcomes[job.index] = left[0].run(left[0].prepare(job))
    return outcomes
