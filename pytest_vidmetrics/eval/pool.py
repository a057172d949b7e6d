"""``fastvideo.eval.pool``: decoding ahead, for scripts that call workers themselves."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.engine.inputs import load_video


class VideoPool:
    """Decodes the clips of samples in threads, at most ``max_size`` samples ahead of those handed out.

    A sample's values that are a :class:`Video` with a source and no frames are decoded, to ``(T, C, H, W)`` float32 in
    [0, 1]; everything else is handed through. The caller's objects are left as they are, so that decoded clips are
    freed when their consumer lets go of them. The engine itself uses
    :class:`pytest_vidmetrics.engine.pool.VideoPool`, which also bounds the bytes.

    Use it as a context manager::

        with VideoPool(samples, loader_threads=2, max_size=4) as pool:
            while (item := pool.get()) is not None:
                index, sample = item

    Raises ``ValueError`` for fewer than one thread or sample ahead.
    """

    def __init__(self, samples: Iterable[Mapping[str, Any]], *, loader_threads: int = 1, max_size: int = 4) -> None:
        if loader_threads < 1 or max_size < 1:
            raise ValueError(f"loader_threads ({loader_threads}) and max_size ({max_size}) must be at least 1")
        self._waiting: Iterator[tuple[int, Mapping[str, Any]]] = enumerate(samples)
        self._ahead: deque[tuple[int, Future[dict[str, Any]]]] = deque()
        self._max_size = max_size
        self._one_at_a_time = threading.Lock()
        self._threads = ThreadPoolExecutor(loader_threads, thread_name_prefix="vidmetrics-decode")

    def __enter__(self) -> Self:
        """Start to decode."""
        with self._one_at_a_time:
            self._fill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what was not handed out and wait for the threads."""
        self._threads.shutdown(cancel_futures=True)
        self._ahead.clear()

    def get(self) -> tuple[int, dict[str, Any]] | None:
        """Return ``(index, sample)`` of the next sample, in input order, or ``None`` when all were handed out.

        Several threads may call it. Raises what decoding the sample raised.
        """
        with self._one_at_a_time:
            self._fill()
            if not self._ahead:
                return None
            index, decoded = self._ahead.popleft()
        return index, decoded.result()

    def _fill(self) -> None:
        while len(self._ahead) < self._max_size and (given := next(self._waiting, None)) is not None:
            self._ahead.append((given[0], self._threads.submit(_decoded, given[1])))


def _decoded(sample: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _with_frames(value) if isinstance(value, Video) else value for key, value in sample.items()}


def _with_frames(video: Video) -> Video:
    if video.frames is not None or video.source is None:
        return video
    return replace(video, frames=load_video(video.source))
