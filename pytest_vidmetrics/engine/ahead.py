"""Loading the next jobs of a run while the one before them is computed."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_vidmetrics.core.processors import share
from pytest_vidmetrics.engine.pool import VideoPool
from pytest_vidmetrics.engine.work import Job, Outcome
from pytest_vidmetrics.engine.worker import AHEAD_BYTES, EvalWorker


def loaders(processors: int) -> int:
    """Return how many threads load ahead: one on a small machine, up to four beside a GPU that is faster than one."""
    # A quarter of the cores: the others compute.
    return max(1, min(4, processors // 4))


class Lookahead:
    """Runs jobs on a worker, and loads those that were announced to follow.

    What was loaded ahead counts only when its files are still the same: a clip that was missing, unreadable or
    replaced in the meantime is loaded again when its turn comes. So order, failures and results are those of a run
    that loads each job when it needs it. Used by one thread.
    """

    def __init__(self, worker: EvalWorker, *, threads: int | None = None, max_bytes: int = AHEAD_BYTES) -> None:
        self._worker, self._max_bytes = worker, max_bytes
        self._threads = loaders(share()) if threads is None else threads
        self._pool: VideoPool | None = None

    def announce(self, jobs: Iterable[Job]) -> None:
        """Tell which jobs will be run next, in this order, behind those that were announced before."""
        if self._pool is None:
            self._pool = VideoPool(
                self._worker.prepare,
                loader_threads=self._threads,
                # One that waits, loaded, beside those that are being loaded.
                max_items=self._threads + 1,
                max_bytes=self._max_bytes,
            ).__enter__()
        self._pool.announce(jobs)

    def run(self, job: Job) -> list[list[Outcome]]:
        """Return the outcomes of a job, see :meth:`.worker.EvalWorker.run`."""
        item = self._pool.take(job) if self._pool is not None else None
        try:
            if item is not None and self._worker.is_current(item):
                return self._worker.run(item)
        finally:
            # Also when running raised: its frames would count against the pool for good.
            if item is not None and self._pool is not None:
                self._pool.release(item)
        return self._worker.run(self._worker.prepare(job))

    def close(self) -> None:
        """Stop loading, and wait for the clips that are being read."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__(None, None, None)
