"""Baselines: what one gate scored when it was recorded, as one small, sealed, reviewable JSON file.

The layout, in this order, so that a diff shows first what a reviewer looks for::

    {
     "score": 36.72952,                        one number a line, rounded to what the metric's noise floor justifies
     "interval": [33.51, 39.95],               95 % interval of the score on clips like these, for information
     "n": 16,
     "clips": {"waves": {"frames": 24, …}, …},  length, rate and size of each clip, and whether it never changes
     "digest": "…",                            seal over everything but itself and the environment
     "direction": "higher",                    which way is better
     "environment": {"torch": "2.11.0", …},    for information
     "inputs": {"waves": "1f3a…", …},          what each clip was scored with: its prompt, values and reference
     "metric": {"name": …, "version": …, …},   identity: name, version, parameters, weights, decoder
     "noise": {"kind": "scoring", "runs": 5, "sigma": 0.01},
     "order": "9c1f…",                         with decide = "sequential": the seed of the order of the samples
     "policy": {"abs": 0.25, "decide": "point", …}, how it was judged: a wider margin needs a reason from then on
     "recorded_by": {"manifest": "../bench/wan.vidmetrics.toml", "case": "t2v", "gate": "common.psnr"},
     "reference": "…",                         digest of the reference clips
     "reference_clips": {"waves": …, …},       what is in "clips", of the references that belong to a clip
     "sample_ids": "…",                        digest of the ids and of the values that the metric reads
     "samples": {"waves": 40.29570, …},        scores by clip, or each clip's influence on the score of a set
     "schema": 1,
     "table": {"sha256": …, "quantiles": …}    of more than 10,000 clips: their numbers lie in the store
    }

``recorded_by`` says whose the file is: ownership and pruning read only that. A check of a test function has
``{"file": "../tests/test_gen.py", "test": "TestFast::test_q", "check": "loss"}`` there. Paths are relative to the
folder of the baselines.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.digits import close, digits, rounded, step
from pytest_vidmetrics.gates.order import seed_of
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.gates.spread import score_interval

SCHEMA = 1
NoiseKind = Literal["scoring", "generation"]
_MOST_RUNS = 10**9
_UNSEALED = ("digest", "environment")
"""What the digest of a baseline does not cover: itself, and facts for information only."""


@dataclass(frozen=True)
class Noise(Wire):
    """How much the score moves when nothing changed: standard deviation over ``runs`` of one ``kind``.

    ``modes`` are the means of the two groups that the scores fall into, the lower one first, where they do.
    """

    sigma: float
    runs: int
    kind: NoiseKind
    modes: tuple[float, float] | None = None
    facts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The facts of the clips that differ between the two groups: their values in the lower and in the upper one."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what no measurement gives."""
        if self.sigma < 0:
            raise ValueError(f"the noise is {self.sigma!r}: less than nothing")
        if not 2 <= self.runs <= _MOST_RUNS:
            raise ValueError(f"the noise is that of {shown(self.runs)} runs, not of a whole number of at least 2")


@dataclass(frozen=True)
class Table(Wire):
    """What a file says of the numbers by clip that lie in a store: their table's sha256, how many, how they spread.

    ``quantiles`` are the numbers at these shares, ``std`` is their standard deviation.
    """

    sha256: str
    n: int
    mean: float
    std: float
    quantiles: Mapping[str, float]


@dataclass(frozen=True)
class Baseline(Wire):
    """A score as it was recorded, how much it moves by itself, and who recorded it."""

    scores: CorpusScore
    recorded_by: Recorder
    noise: Noise | None = None
    interval: tuple[float, float] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    policy: Policy | None = None
    order: str | None = None
    """The seed of the order in which ``decide = "sequential"`` looks at the samples."""
    table: Table | None = None
    """Where the numbers by clip are, of a baseline that does not hold them: see :mod:`.tables`."""

    @classmethod
    def of(
        cls,
        observed: CorpusScore,
        recorded_by: Recorder,
        environment: Mapping[str, str] | None = None,
        noise: Noise | None = None,
        policy: Policy | None = None,
    ) -> Baseline:
        """Return the baseline that a complete observation records, with the digits that a file keeps."""
        if observed.score is None:
            raise BaselineError("an observation without a score cannot become a baseline")
        kept = rounded(observed)
        ends, floor = _spread(kept), observed.noise_floor
        if noise is not None:
            modes = noise.modes and (digits(noise.modes[0], floor), digits(noise.modes[1], floor))
            noise = Noise(digits(noise.sigma, floor), noise.runs, noise.kind, modes, noise.facts)
        return cls(
            scores=kept,
            recorded_by=recorded_by,
            noise=noise,
            interval=None if ends is None else (digits(ends[0], floor), digits(ends[1], floor)),
            environment=dict(environment or {}),
            # A reason speaks for one change: the next one needs its own.
            policy=None if policy is None else replace(policy, reason=None),
            order=seed_of(kept) if policy is not None and policy.decide == "sequential" else None,
        )

    @property
    def score(self) -> float:
        """The recorded score."""
        assert self.scores.score is not None, "a baseline has a score: of() and parse_baseline() see to it"
        return self.scores.score

    @property
    def samples(self) -> Mapping[str, float]:
        """The recorded numbers by clip."""
        return self.scores.samples

    @property
    def n(self) -> int:
        """How many clips were scored."""
        return self.scores.n if self.table is None else self.table.n

    def to_json(self) -> dict[str, Any]:
        """Return builtin values in the file's layout, sealed by :func:`seal`."""
        scores, noise = self.scores, self.noise
        fields = {
            "schema": SCHEMA,
            "metric": dict(scores.metric),
            "direction": "higher" if scores.higher_is_better else "lower",
            "score": self.score,
            "interval": list(self.interval) if self.interval else None,
            "n": self.n,
            "samples": dict(scores.samples),
            "inputs": dict(scores.inputs),
            "clips": {id: facts.brief() for id, facts in scores.clips.items()},
            "reference_clips": {id: facts.brief() for id, facts in scores.reference_clips.items()},
            "sample_ids": scores.sample_ids,
            "reference": scores.reference,
            "noise": {key: value for key, value in noise.to_wire().items() if value not in (None, {})}
            if noise
            else None,
            "policy": _kept(self.policy) if self.policy else None,
            "recorded_by": self.recorded_by.to_json(),
            "environment": dict(self.environment),
        }
        if self.order is not None:
            fields["order"] = self.order
        if self.table is not None:
            fields["table"] = self.table.to_wire()
        return {**fields, "digest": seal(fields)}

    def same_as(self, other: Baseline) -> bool:
        """Whether an update from ``other`` to this one changes nothing: numbers count as equal within a last digit.

        The environment and the interval, which follows from the rest, do not count.
        """
        mine, theirs = self.without_clips().to_json(), other.without_clips().to_json()
        # The score is compared below with a tolerance, and the digest follows from the rest.
        free: dict[str, Any] = dict.fromkeys(("environment", "interval", "digest", "score"))
        floor = self.scores.noise_floor
        # Influences are about 1 / n of a score, and rounded that much finer.
        share = floor / max(1, self.n) if self.scores.is_set else floor
        return (
            {**mine, **free} == {**theirs, **free}
            and (self.scores.inputs, self.scores.clips) == (other.scores.inputs, other.scores.clips)
            and self.scores.reference_clips == other.scores.reference_clips
            and close({"score": self.score}, {"score": other.score}, floor)
            and close(self.samples, other.samples, share)
        )

    def without_clips(self) -> Baseline:
        """Return what it says beside the numbers and facts of single clips."""
        empty: dict[str, Any] = {"samples": {}, "inputs": {}, "clips": {}, "reference_clips": {}, "paths": {}}
        return replace(self, scores=replace(self.scores, **empty))


def _kept(policy: Policy) -> dict[str, Any]:
    """Return what a policy says beyond the defaults, so that a file holds what somebody chose."""
    usual = Policy().to_wire()
    return {key: value for key, value in policy.to_wire().items() if value != usual[key]}


def _spread(observed: CorpusScore) -> tuple[float, float] | None:
    try:
        with warnings.catch_warnings():  # of numbers that overflow: they have no interval
            warnings.simplefilter("ignore", RuntimeWarning)
            ends = score_interval(observed)
    except (OverflowError, FloatingPointError):
        return None
    return ends if ends is not None and all(map(math.isfinite, ends)) else None


def seal(tree: Mapping[str, Any]) -> str:
    """Return the digest of a baseline's layout: a score that was changed by hand or by a merge no longer fits it."""
    return digest_json({key: value for key, value in tree.items() if key not in _UNSEALED})


def contradiction(recorded: Baseline, observed: CorpusScore) -> str:
    """Return how a baseline contradicts itself, as after a bad merge; nothing when it does not."""
    if observed.counts_failures and not 0 <= recorded.score <= 1:
        return f"the baseline contradicts itself: its score is {recorded.score:.9g}, which is not a share of clips"
    if not observed.is_mean:
        return ""
    mean = math.fsum(value / recorded.n for value in recorded.samples.values())
    largest = max(abs(recorded.score), *map(abs, recorded.samples.values()))
    # Score and samples were rounded, half a step each; the rest is slack for sums of floats.
    if abs(mean - recorded.score) <= 1.5 * step(largest, observed.noise_floor):
        return ""
    return f"the baseline contradicts itself: its score is {recorded.score:.9g}, the mean of its samples {mean:.9g}"
