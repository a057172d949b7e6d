"""Two sets of scores, offline: run records or folders of baselines, judged by the rules of the gates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.policy import Decide, MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.engine.reduce import keeps_influence, takes_mean
from pytest_vidmetrics.gates.baseline import Baseline, parse_baseline, read_baseline
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.gates.record import read_record
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
    if not gate.get("observed") or gate["verdict"]["status"] in _INCOMPLETE:
        return f"{gate['verdict']['status']}: {gate['verdict']['reason']}"
    observed = gate["observed"]
    policy, clusters = gate.get("policy", {}), observed.get("clusters", {})
    if fault := _policy_fault(policy):
        raise BaselineError(f"{where}: the policy of the gate is not one of this version: {fault}")
    baseline = parse_baseline(observed, where)
    if fault := _cluster_fault(clusters, baseline):
        raise BaselineError(f"{where}: {fault}")
    return Scores(baseline, clusters, Policy(**policy))


def _policy_fault(policy: Any) -> str:
    """Return what a manifest would not accept; empty when there is nothing."""
    if not isinstance(policy, dict):
        return f"{policy!r:.40} is no object"
    for key, value in policy.items():
        number = type(value) in (int, float) and math.isfinite(value)
        if key in ("abs", "rel", "sigma"):
            good = number and value >= 0
        elif key == "alpha":
            good = number and 0 < value <= 0.5
        elif key == "decide":
            good = value in get_args(Decide)
        else:
            good = key == "min_n" and (value is None or (type(value) is int and value >= 1))
        if not good:
            return f"{key} = {value!r:.40}"
    return ""


def _cluster_fault(clusters: Any, baseline: Baseline) -> str:
    if not isinstance(clusters, dict) or not all(isinstance(name, str) for name in clusters.values()):
        return "clusters is not an object of texts"
    lost = sorted(baseline.samples.keys() - clusters.keys()) if clusters else []
    return f"clusters lists some samples only, and not {', '.join(lost[:3])}" if lost else ""


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


def observed_of(scores: Baseline, clusters: Mapping[str, str]) -> CorpusScore:
    """Return recorded scores as an observation; facts of the metric come from its class where it is installed."""
    try:
        cls = registry.metric_class(str(scores.metric.get("name", "")))
    except KeyError:
        cls = None
    return CorpusScore(
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
