"""What is to be done for one sample, and how far it is: asked for, planned, loaded, done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.clips import Clips
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.identity import Digest
from pytest_vidmetrics.engine.loading import HeldClip
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    import numpy as np


_NONE: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one metric yields for one clip: a result, or the feature rows of a set metric.

    ``clips`` are the facts of the clips that it looked at, by sample key.
    """

    result: MetricResult | None = None
    rows: np.ndarray | None = None
    clips: Clips = field(default_factory=dict)

    @property
    def problem(self) -> MetricResult | None:
        """The result when it carries no score."""
        return self.result if self.result is not None and self.result.score is None else None

    def brief(self, shared: dict[tuple[Any, ...], Clips]) -> Outcome:
        """Return it with its score alone, and with facts that are one object where they are equal to ``shared`` ones.

        What has no score stays as it is: it says why.
        """
        if (result := self.result) is None or result.score is None:
            return self
        clips = shared.setdefault(tuple(sorted(self.clips.items())), self.clips)
        return Outcome(MetricResult(intern(result.name), result.score, _NONE), clips=clips)

    @property
    def lasting(self) -> bool:
        """Whether it would come out the same again: failures and missing weights are tried anew next time.

        An answer of a judge that cannot be read stays one.
        """
        result = self.result
        return self.rows is not None or (
            result is not None and (result.status in ("scored", "skipped") or result.is_unanswered)
        )


@dataclass
class Counts:
    """How much work a process did: clips decoded, results computed, results reused from the store."""

    decoded: int = 0
    computed: int = 0
    reused: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """Sample values, and the metrics that look at them. ``brief``: details of scores that are stored do not matter."""

    values: Mapping[str, Any]
    metrics: Sequence[BaseMetric]
    brief: bool = False


# By identity: pools find jobs in dictionaries, and two may be of one clip.
@dataclass(frozen=True, eq=False)
class Job:
    """What is loaded and freed together: a sample, and its paired reference as a clip of its own for set metrics."""

    units: tuple[Unit, ...]
    index: int = 0


@dataclass
class Plan:
    """A unit after a look into the store: what is there, what is missing, and which clips that needs.

    ``keys[i]`` is where the outcome of metric ``i`` is kept, ``None`` for one that cannot be kept. ``contents`` are
    the hashes that the keys were made of, ``given`` the keys of the sample itself, without what its clips imply.
    ``clips`` are the names of the clips by sample key, ``requests`` the frames that are wanted of each.
    """

    values: dict[str, Any]
    metrics: Sequence[BaseMetric]
    keys: list[str | None]
    outcomes: list[Outcome | None]
    contents: dict[str, Any]
    given: frozenset[str]
    clips: dict[str, str] = field(default_factory=dict)
    requests: dict[str, list[FrameRequest]] = field(default_factory=dict)
    digest: Digest = digest_file
    """What hashes the files."""
    unreadable: bool = False
    """Whether a file that some metric reads could not be read."""

    @property
    def missing(self) -> list[int]:
        """The numbers of the metrics that have no outcome yet."""
        return [i for i, outcome in enumerate(self.outcomes) if outcome is None]


@dataclass
class Loaded:
    """A job whose clips are in memory."""

    job: Job
    plans: list[Plan]
    clips: dict[str, HeldClip]
    decoded: int = 0
    """How many files were decoded for it."""

    @property
    def nbytes(self) -> int:
        """Memory of the frames."""
        return sum(clip.nbytes for clip in self.clips.values())

    def release(self) -> None:
        """Let go of the frames."""
        self.clips.clear()
