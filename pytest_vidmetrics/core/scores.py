"""Scores of a corpus: one number, what it is made of, and everything that identifies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_vidmetrics.core.clips import ClipFacts, Kind
from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import Status
from pytest_vidmetrics.core.wire import Wire


@dataclass(frozen=True)
class Problem(Wire):
    """Why a sample has no score: ``status`` is ``failed``, ``skipped`` or ``unavailable``."""

    sample: str
    status: Status
    reason: str


@dataclass(frozen=True)
class Drawn(Wire):
    """How samples were chosen where only some were scored: the first of ``listed`` in the random order of a seed."""

    seed: str
    listed: int


@dataclass(frozen=True)
class CorpusScore(Wire):
    """One gate's numbers on the candidate clips.

    ``samples`` are the per-sample scores by id; for a set metric they are each clip's influence on the score,
    in the direction of the score. ``score`` is ``None`` when there is none. ``is_mean``: it is the mean of ``samples``.
    """

    metric: Mapping[str, Any]
    higher_is_better: bool
    score: float | None
    samples: Mapping[str, float]
    paths: Mapping[str, str]
    sample_ids: str
    reference: str | None
    is_set: bool = False
    noise_floor: float = 0.0
    floor_known: bool = True
    """Whether the metric says anything of its noise: a floor, or where a floor of 0 comes from."""
    neutral_shift: NeutralShift | None = None
    min_n: int = 1
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Digests by sample of what it was scored with, its file aside: prompt, values, reference. Empty: not known."""
    clips: Mapping[str, ClipFacts] = field(default_factory=dict)
    """What the scored clips are beside their pixels, by sample; none where no clip was decoded for the score."""
    reference_clips: Mapping[str, ClipFacts] = field(default_factory=dict)
    """The same of the references, by the sample that they belong to."""
    compares: tuple[Kind, ...] = ()
    """In what a clip and its reference have to be alike for their comparison to mean anything."""
    binary: bool = False
    is_mean: bool = False
    chooses: bool = False
    """Whether the metric itself chooses which samples count, so that two runs may count other ones."""
    may_miss: bool = False
    """Whether a sample may be without a score for the metric's own reasons: left out on both sides of a comparison."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why samples have no score where the metric may do without: few enough, see ``max_missing``."""
    counts_failures: bool = False
    """Whether the score is a share of failures, which the exact binomial bound judges."""

    drawn: Drawn | None = None
    """Of a gate that decides with fewer samples: how they were chosen. The digests are those of all listed samples."""

    @property
    def n(self) -> int:
        """How many clips were scored."""
        return len(self.samples)
