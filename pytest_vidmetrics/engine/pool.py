"""Decoding ahead of the metrics: several threads, bounded in clips and in bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.engine import loading as reading
from pytest_vidmetrics.engine.masks import with_masks

if TYPE_CHECKING:
    from pytest_vidmetrics.media.video import Clip

_END = object()

Requests = Callable[[Mapping[str, Any]], Mapping[str, list[FrameRequest]]]


@dataclass
class Loaded:
    """One sample with its clips read. ``errors`` says, by sample key, what could not be read."""

    index: int
    sample: dict[str, Any]
    clips: dict[str, Clip] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory of the frames."""
        return sum(clip.nbytes for clip in self.clips.values())


class VideoPool:
    """Samples in, samples with decoded clips out, in the order in which they become ready.

    ``requests`` says which frames of a sample are read. At most ``max_items`` clips are decoded or being decoded
    ahead of the consumers, and clips are started only while those in memory, with the largest seen so far for
    each that is being decoded, stay within ``max_bytes``; one clip is always let through. Frames count until
    :meth:`release`. The samples may be a generator: it is advanced as there is room.
    """

    def __init__(
        self,
        samples: Iterable[Mapping[str, Any]],
        requests: Requests,
        *,
        loader_threads: int = 1,
        max_items: int = 4,
        max_bytes: int = 4 << 30,
        pin: bool = False,
    ) -> None:
        if loader_threads < 1 or max_items < 1:
            raise ValueError(f"loader_threads ({loader_threads}) and max_items ({max_items}) must be at least 1")
        self._samples, self._requests, self._pin = iter(samples), requests, pin
        self._max_items, self._max_bytes = max_items, max_bytes
        self._ready: deque[Loaded] = deque()
        self._loading = self._bytes = self._largest = self._count = 0
        self._ended = self._stopped = False
        self._failure: BaseException | None = None
        self._ids: set[tuple[str, str]] = set()
        self._changed = threading.Condition()
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
        self._ready.clear()

    def stop(self) -> None:
        """Let no further clip start and wake everyone who waits: :meth:`get` returns ``None``."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def get(self) -> Loaded | None:
        """Return the next sample, or ``None`` when there are no more. Raises what the samples' iterator raised."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or self._ready or self._failure or (self._ended and not self._loading)
            )
            if self._failure is not None and not self._stopped:
                raise self._failure
            if self._stopped or not self._ready:
                return None
            item = self._ready.popleft()
            self._changed.notify_all()
            return item

    def release(self, item: Loaded) -> None:
        """Say that an item's frames are no longer needed."""
        with self._changed:
            self._bytes -= item.nbytes
            item.clips.clear()
            self._changed.notify_all()

    def _room(self) -> bool:
        if self._loading + len(self._ready) >= self._max_items:
            return False
        # As long as no size is known, one clip at a time.
        return not self._bytes or bool(self._largest and self._bytes + self._largest <= self._max_bytes)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._ended or self._room())
                if self._stopped or self._ended:
                    return
                # At least one byte: a clip of unknown size counts as being there.
                reserved = max(1, self._largest)
                self._loading += 1
                self._bytes += reserved
            item = self._take()
            with self._changed:
                self._loading -= 1
                self._bytes += (item.nbytes if item else 0) - reserved
                if item is None:
                    self._ended = True
                else:
                    self._largest = max(self._largest, item.nbytes)
                    self._ready.append(item)
                self._changed.notify_all()

    def _take(self) -> Loaded | None:
        """Advance the samples' iterator and read the clips; ``None`` at the end."""
        try:
            with self._source:
                if self._ended or self._stopped:
                    return None
                sample: Any = next(self._samples, _END)
                if sample is _END:
                    return None
                if not isinstance(sample, Mapping):
                    what = "None" if sample is None else f"a {type(sample).__name__}"
                    raise TypeError(f"samples[{self._count}] is {what}: expected a dict")
                item = Loaded(self._count, with_masks(reading.with_sound(sample)))
                self._count += 1
                self._name(item)
        except BaseException as error:  # handed to the consumer: a dead loader would leave it waiting
            self._failure = error
            return None
        self._read(item)
        return item

    def _name(self, item: Loaded) -> None:
        """Give the sample an id, and note when another clip of the same set has it."""
        sample = item.sample
        name = str(sample.setdefault("id", f"{item.index:08d}"))
        sets = ["reference" if sample.get("role") == "reference" else "generated"]
        if sets == ["generated"] and any(sample.get(key) is not None for key in ("reference", "reference_audio")):
            sets.append("reference")
        for where in sets:
            if (where, name) in self._ids:
                item.errors["id"] = ValueError(f"the id {name!r} is used twice in the {where} set")
            self._ids.add((where, name))

    def _read(self, item: Loaded) -> None:
        try:
            wanted = self._requests(item.sample)
        except Exception as error:
            item.errors["video"] = error
            return
        for key, requests in wanted.items():
            try:
                clip = reading.read(item.sample[key], key, requests)
                item.clips[key] = _pinned(clip) if self._pin else clip
            except Exception as error:  # becomes the status of the metrics that read this clip
                item.errors[key] = error


def _pinned(clip: Clip) -> Clip:
    import dataclasses

    on_host = clip.frames.device.type == "cpu"
    return dataclasses.replace(clip, frames=clip.frames.pin_memory()) if on_host else clip
