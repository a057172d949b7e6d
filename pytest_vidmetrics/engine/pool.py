"""Loading ahead of the metrics: several threads, bounded in jobs and in bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from pytest_vidmetrics.engine.work import Job, Loaded


class VideoPool:
    """Jobs in, jobs with their clips loaded out. ``load`` reads one job.

    Jobs come from an iterable, which is advanced as there is room: :meth:`get` hands out what is ready, or with
    ``in_order`` what comes next. Or, where it is not known how far a run will come, :meth:`announce` tells of jobs:
    :meth:`take` hands out a certain one and forgets those before it.

    At most ``max_items`` jobs are loaded or being loaded ahead of the consumers, and one is started only while those
    in memory, with the largest seen so far for each that is being loaded, stay within ``max_bytes``; one is always
    let through. Frames count until :meth:`release`.
    """

    def __init__(
        self,
        load: Callable[[Job], Loaded],
        jobs: Iterable[Job] | None = None,
        *,
        loader_threads: int = 1,
        max_items: int = 4,
        max_bytes: int = 4 << 30,
        in_order: bool = False,
    ) -> None:
        if loader_threads < 1 or max_items < 1:
            raise ValueError(f"loader_threads ({loader_threads}) and max_items ({max_items}) must be at least 1")
        self._load = load
        self._jobs: Iterator[Job] | None = None if jobs is None else iter(jobs)
        self._max_items, self._max_bytes, self._in_order = max_items, max_bytes, in_order
        self._announced: deque[Job] = deque()
        self._started: dict[Job, Loaded | None] = {}  # in order; None while it is being loaded
        self._sizes: dict[int, int] = {}
        self._starting = self._bytes = self._largest = 0
        self._ended = self._stopped = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        # A generator cannot be advanced by two threads at once.
        self._source = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"vidmetrics-loader-{i}", daemon=True)
            for i in range(loader_threads)
        ]

    def __enter__(self) -> Self:
        """Start the loaders."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and wait for every loader; clips that nobody took are dropped."""
        self.stop()
        for thread in self._threads:
            thread.join()
        self._started.clear()

    def stop(self) -> None:
        """Let no further job start and wake everyone who waits: :meth:`get` and :meth:`take` return ``None``."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def get(self) -> Loaded | None:
        """Return the next job, or ``None`` when there are no more. Raises what the jobs' iterator raised."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._failure or self._next_ready() or (self._ended and not self._started)
            )
            if self._stopped:
                return None
            if self._failure is not None:
                # In the consumer's thread, where somebody can catch it.
                raise self._failure
            job = self._next_ready()
            return None if job is None else self._hand_out(job)

    def announce(self, jobs: Iterable[Job]) -> None:
        """Tell of jobs that will be taken in this order, behind those that are known already."""
        with self._changed:
            self._announced.extend(jobs)
            self._changed.notify_all()

    def take(self, job: Job) -> Loaded | None:
        """Return a job that was announced and started, waiting for its clips; ``None`` for any other.

        What was announced before it is forgotten: the run has passed it over.
        """
        with self._changed:
            if job in self._started:
                self._forget_before(job)
                self._changed.wait_for(lambda: self._stopped or self._failure or self._started.get(job) is not None)
                return None if self._stopped or self._failure else self._hand_out(job)
            if job in self._announced:
                # What comes before it was passed over.
                self._forget_before(None)
                while self._announced.popleft() is not job:
                    pass
            return None

    def release(self, item: Loaded) -> None:
        """Say that a job's frames are no longer needed."""
        with self._changed:
            self._free(item)
            self._changed.notify_all()

    def _free(self, item: Loaded) -> None:
        self._bytes -= self._sizes.pop(id(item), 0)
        item.release()

    def _next_ready(self) -> Job | None:
        for job, item in self._started.items():
            if item is not None:
                return job
            if self._in_order:
                return None
        return None

    def _hand_out(self, job: Job) -> Loaded | None:
        item = self._started.pop(job)
        self._changed.notify_all()
        return item

    def _forget_before(self, wanted: Job | None) -> None:
        """Drop what was started before a job, or everything; what is still being loaded is dropped when it is done."""
        for job in list(self._started):
            if job is wanted:
                break
            if (item := self._started.pop(job)) is not None:
                self._free(item)
        self._changed.notify_all()

    def _room(self) -> bool:
        if self._starting + len(self._started) >= self._max_items:
            return False
        # As long as no size is known, one job at a time.
        return not self._bytes or bool(self._largest and self._bytes + self._largest <= self._max_bytes)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopped or self._ended or ((self._jobs or self._announced) and self._room())
                )
                if self._stopped or self._ended:
                    return
                # At least one byte: a job of unknown size counts as being there.
                reserved = max(1, self._largest)
                # Reserved before it is loaded: several loaders would otherwise all see the same room.
                self._starting += 1
                self._bytes += reserved
            item: Loaded | None = None
            try:
                job = self._start()
                item = None if job is None else self._load(job)
            except BaseException as error:  # handed to the consumer: a dead loader would leave it waiting
                self._failure = error
            with self._changed:
                self._bytes -= reserved
                if item is not None:
                    self._keep(item)
                self._changed.notify_all()

    def _start(self) -> Job | None:
        """Return the next job, counted as started, or ``None`` when there is none."""
        # Held from the source to the list of what was started: jobs are in the order in which they came.
        with self._source:
            job: Job | None = None
            if self._jobs is not None and not (self._ended or self._stopped):
                try:
                    # Without holding `_changed`: the source may take long, and may use this pool.
                    job = next(self._jobs, None)
                finally:
                    with self._changed:
                        # Also when the source raised: no other loader may advance it again.
                        self._ended = self._ended or job is None
            with self._changed:
                # From starting to started under one lock, so that `_room` counts each job exactly once.
                self._starting -= 1
                if self._jobs is None and self._announced:
                    job = self._announced.popleft()
                if job is not None:
                    self._started[job] = None
                return job

    def _keep(self, item: Loaded) -> None:
        if item.job not in self._started:  # forgotten meanwhile
            item.release()
            return
        size = item.nbytes
        self._bytes += size
        self._sizes[id(item)] = size
        self._largest = max(self._largest, size)
        self._started[item.job] = item
