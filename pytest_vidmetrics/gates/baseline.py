"""Baseline files: one small, sorted, reviewable JSON per gate, committed with the code."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.spread import score_interval

SCHEMA = 1
NoiseKind = Literal["scoring", "generation"]
_UNSEALED = ("digest", "environment")
"""What the digest of a baseline does not cover: itself, and facts for information only."""


@dataclass(frozen=True)
class Noise:
    """How much the score moves when nothing changed: standard deviation over ``runs`` of one ``kind``."""

    sigma: float
    runs: int
    kind: NoiseKind


@dataclass(frozen=True)
class Baseline:
    """What one gate scored when it was recorded."""

    metric: Mapping[str, Any]
    higher_is_better: bool
    score: float
    samples: Mapping[str, float]
    sample_ids: str
    reference: str | None
    interval: tuple[float, float] | None = None
    noise: Noise | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many clips were scored."""
        return len(self.samples)

    @classmethod
    def of(cls, observed: CorpusScore, environment: Mapping[str, str], noise: Noise | None = None) -> Baseline:
        """Return the baseline that a complete observation records."""
        if observed.score is None:
            raise BaselineError("an observation without a score cannot become a baseline")
        return cls(
            metric=dict(observed.metric),
            higher_is_better=observed.higher_is_better,
            score=observed.score,
            samples=dict(observed.samples),
            sample_ids=observed.sample_ids,
            reference=observed.reference,
            interval=score_interval(observed),
            noise=noise,
            environment=dict(environment),
        )

    def to_json(self) -> dict[str, Any]:
        """Return builtin values in the file's layout, sealed by :func:`seal`."""
        noise = self.noise
        fields = {
            "schema": SCHEMA,
            "metric": dict(self.metric),
            "direction": "higher" if self.higher_is_better else "lower",
            "score": self.score,
            "interval": list(self.interval) if self.interval else None,
            "n": self.n,
            "samples": dict(self.samples),
            "sample_ids": self.sample_ids,
            "reference": self.reference,
            "noise": {"sigma": noise.sigma, "runs": noise.runs, "kind": noise.kind} if noise else None,
            "environment": dict(self.environment),
        }
        return {**fields, "digest": seal(fields)}

    def same_as(self, other: Baseline) -> bool:
        """Whether both say the same; the environment and the interval, which follows from the rest, do not count."""
        mine, theirs = self.to_json(), other.to_json()
        same = {"environment": None, "interval": None, "digest": None}
        return {**mine, **same} == {**theirs, **same}


def baseline_path(folder: Path, stem: str, case: str, gate: str, cohort: str | None = None) -> Path:
    """Return ``<folder>/<manifest stem>/<case>/<gate>[@<cohort>].json``."""
    return folder / stem / case / (f"{gate}@{cohort}.json" if cohort else f"{gate}.json")


def seal(tree: Mapping[str, Any]) -> str:
    """Return the digest of a baseline's layout: a score that was changed by hand or by a merge no longer fits it."""
    return digest_json({key: value for key, value in tree.items() if key not in _UNSEALED})


def read_baseline(path: Path) -> Baseline | None:
    """Return a baseline, or ``None`` when the file does not exist.

    Raises :class:`~pytest_vidmetrics.core.errors.BaselineError` naming the file and what is wrong with it, also
    when it was changed since it was written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"cannot read the baseline {path}: {error}") from error
    try:
        tree = json.loads(text, parse_constant=_no_number, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise BaselineError(f"{path}:{error.lineno}: the baseline is not valid JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path}: the baseline is not valid JSON: {error}") from error
    # The layout of another schema may have another seal; what is no object at all is named by the parser.
    if isinstance(tree, dict) and tree.get("schema") == SCHEMA and not _intact(tree):
        raise BaselineError(
            f"the baseline {path} was edited by hand or merged: its digest does not fit its content; "
            "restore the committed file, or record it again with --update-baselines"
        )
    return parse_baseline(tree, str(path))


def _intact(tree: Mapping[str, Any]) -> bool:
    try:
        return tree.get("digest") == seal(tree)
    except (ValueError, RecursionError):  # numbers and texts that no baseline is written with
        return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return one object. Raises ``ValueError`` for a key that stands there twice, as after a merge."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there more than once")
    return tree


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def parse_baseline(tree: dict[str, Any], where: str) -> Baseline:
    """Return a baseline from its layout, read from ``where``. Raises ``BaselineError``."""
    try:
        return _parse(tree)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BaselineError(f"{where}: not a baseline of schema {SCHEMA}: {error}") from error


def _parse(tree: dict[str, Any]) -> Baseline:
    if tree.get("schema") != SCHEMA:
        raise ValueError(f"it has schema {tree.get('schema', 'none')!r}, this version reads {SCHEMA}")
    score = _finite(tree["score"], "score")
    samples = {str(id): _finite(value, f"the score of {id}") for id, value in tree["samples"].items()}
    if not len(samples) == tree["n"] >= 1:
        raise ValueError(f"it says n = {tree['n']!r} and holds {len(samples)} samples")
    if tree["direction"] not in ("higher", "lower"):
        raise ValueError(f"direction is {tree['direction']!r}, not 'higher' or 'lower'")
    noise, interval = tree.get("noise"), tree.get("interval")
    return Baseline(
        metric=dict(tree["metric"]),
        higher_is_better=tree["direction"] == "higher",
        score=score,
        samples=samples,
        sample_ids=str(tree["sample_ids"]),
        reference=tree["reference"],
        interval=None if interval is None else _interval(interval),
        noise=None if noise is None else _noise(noise),
        environment=dict(tree.get("environment") or {}),
    )


def _finite(value: Any, what: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{what} is {value!r}, not a finite number")
    return float(value)


def _interval(ends: Any) -> tuple[float, float]:
    if not isinstance(ends, list) or len(ends) != 2:
        raise ValueError(f"the interval is {ends!r}, not two numbers")
    return _finite(ends[0], "the interval's low end"), _finite(ends[1], "the interval's high end")


def _noise(tree: Mapping[str, Any]) -> Noise:
    sigma, runs, kind = _finite(tree["sigma"], "the noise"), tree["runs"], tree["kind"]
    if sigma < 0:
        raise ValueError(f"the noise is {sigma!r}: less than nothing")
    if type(runs) is not int or runs < 2:
        raise ValueError(f"the noise is that of {runs!r} runs, not of a whole number of at least 2")
    if kind not in get_args(NoiseKind):
        raise ValueError(f"the noise is of the kind {kind!r}, not one of {', '.join(get_args(NoiseKind))}")
    return Noise(sigma, runs, kind)


def write_baseline(path: Path, baseline: Mapping[str, Any]) -> None:
    """Write a baseline whole or not at all: sorted keys, shortest floats, a newline at the end.

    Raises :class:`~pytest_vidmetrics.core.errors.BaselineError`; the old file is then untouched.
    """
    text = json.dumps(baseline, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_atomic(path, text.encode(), durable=True)
    except OSError as error:
        raise BaselineError(f"cannot write the baseline {path}: {error.strerror or error}") from error


def differences(recorded: Baseline, observed: CorpusScore) -> list[str]:
    """Return what makes two scores incomparable, one line each; empty when they may be compared."""
    lines = _diff("metric", dict(recorded.metric), dict(observed.metric))
    if recorded.higher_is_better != observed.higher_is_better:
        lines.append("direction: the metric's direction changed")
    others = recorded.samples.keys() != observed.samples.keys() and not observed.chooses
    if recorded.sample_ids != observed.sample_ids or others:
        gone = sorted(recorded.samples.keys() - observed.samples.keys())
        new = sorted(observed.samples.keys() - recorded.samples.keys())
        text = "; ".join(
            f"{len(ids)} {word} ({', '.join(ids[:3])})" for word, ids in (("gone", gone), ("new", new)) if ids
        )
        lines.append(f"sample set: {text or 'other prompts or values that the metric reads'}")
    if recorded.reference != observed.reference:
        lines.append("reference set: the reference clips have other content")
    return lines


def contradiction(recorded: Baseline, observed: CorpusScore) -> str:
    """Return how a baseline contradicts itself, as after a bad merge; nothing when it does not."""
    if not observed.is_mean:
        return ""
    mean = math.fsum(recorded.samples.values()) / recorded.n
    if math.isclose(mean, recorded.score, rel_tol=1e-9, abs_tol=1e-12):
        return ""
    return f"the baseline contradicts itself: its score is {recorded.score:.9g}, the mean of its samples {mean:.9g}"


def _diff(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in _diff(f"{name}.{key}", old.get(key), new.get(key))]
    return [] if old == new else [f"{name}: recorded {old!r}, now {new!r}"]
