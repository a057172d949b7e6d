"""Two sets of scores, offline: run records or folders of baselines, judged by the rules of the gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_vidmetrics.bench.baseline import Baseline, parse_baseline, read_baseline
from pytest_vidmetrics.bench.gate import Verdict, judge
from pytest_vidmetrics.bench.model import MetricConfig, Policy
from pytest_vidmetrics.bench.observe import Observed, Problem, keeps_influence, takes_mean
from pytest_vidmetrics.bench.record import read_record
from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.metrics import registry

# A gate that came to such a verdict may hold the scores of some of its clips only.
_INCOMPLETE = ("ERROR", "UNAVAILABLE", "SKIPPED")


@dataclass(frozen=True)
class Scores:
    """One gate's scores, and what a run record adds: the clusters of the clips and the policy of the gate."""

    baseline: Baseline
    clusters: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)


def load_scores(path: Path) -> dict[str, Scores | str]:
    """Return ``{manifest/case/gate.json: scores}`` of a run record or of a baseline folder.

    A gate of a record that has no score is the reason why, as text. Raises
    :class:`~pytest_vidmetrics.core.errors.BaselineError` for a path that is neither.
    """
    if path.is_dir():
        found = {"/".join(file.parts[-3:]): read_baseline(file) for file in sorted(path.glob("*/*/*.json"))}
        scores: dict[str, Scores | str] = {key: Scores(one) for key, one in found.items() if one is not None}
    else:
        scores = {key: _recorded(gate, f"{path}: {key}") for key, gate in read_record(path).items()}
    if not scores:
        raise BaselineError(f"{path} holds no scores: expected a run record or <manifest>/<case>/<gate>.json files")
    return scores


def _recorded(gate: Mapping[str, Any], where: str) -> Scores | str:
    if not gate.get("observed") or gate["verdict"]["word"] in _INCOMPLETE:
        return f"{gate['verdict']['word']}: {gate['verdict']['reason']}"
    observed = gate["observed"]
    try:
        policy = Policy(**gate.get("policy", {}))
    except TypeError as error:
        raise BaselineError(f"{where}: the policy of the gate is not one of this version: {error}") from error
    return Scores(parse_baseline(observed, where), dict(observed.get("clusters", {})), policy)


def compare(
    old: Mapping[str, Scores | str], new: Mapping[str, Scores | str], given: Mapping[str, Any]
) -> dict[str, Verdict]:
    """Judge every gate of either side, ``new`` against ``old``; one that is missing on a side never passes.

    The policy is the one recorded with the second side, else no margin; ``given`` replaces single values of it.
    """
    return {key: _verdict(key, old.get(key), new.get(key), given) for key in sorted(old.keys() | new.keys())}


def _verdict(key: str, old: Scores | str | None, new: Scores | str | None, given: Mapping[str, Any]) -> Verdict:
    if not isinstance(new, Scores):
        return Verdict("ERROR", new or "the second side has no such gate")
    if isinstance(old, str):
        return Verdict("ERROR", f"the first side has no score: {old}")
    name = str(new.baseline.metric.get("name", ""))
    config = MetricConfig(Path(key).stem, name, {}, replace(new.policy, **given))
    return judge(config, observed_of(new.baseline, new.clusters), old.baseline if old is not None else None)


def observed_of(scores: Baseline, clusters: Mapping[str, str]) -> Observed:
    """Return recorded scores as an observation; facts of the metric come from its class where it is installed."""
    try:
        cls = registry.metric_class(str(scores.metric.get("name", "")))
    except KeyError:
        cls = None
    return Observed(
        metric=scores.metric,
        higher_is_better=scores.higher_is_better,
        score=scores.score,
        samples=scores.samples,
        paths={},
        sample_ids=scores.sample_ids,
        reference=scores.reference,
        is_set=keeps_influence(cls) if cls else False,
        is_mean=takes_mean(cls) if cls else False,
        binary=cls.binary if cls else False,
        noise_floor=cls.noise_floor if cls else 0.0,
        clusters=clusters,
        problems=() if scores.samples else (Problem("corpus", "failed", "no sample was recorded"),),
    )
