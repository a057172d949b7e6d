"""Two sets of scores, offline: run records or folders of baselines, judged by the rules of the gates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_vidmetrics.bench.baseline import Baseline, parse_baseline, read_baseline
from pytest_vidmetrics.bench.gate import Verdict, judge
from pytest_vidmetrics.bench.model import MetricConfig, Policy
from pytest_vidmetrics.bench.observe import Observed, Problem, keeps_influence, takes_mean
from pytest_vidmetrics.bench.record import read_record
from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.metrics import registry


def load_scores(path: Path) -> dict[str, Baseline | str]:
    """Return ``{manifest/case/gate.json: scores}`` of a run record or of a baseline folder.

    A gate of a record that has no score is the reason why, as text. Raises
    :class:`~pytest_vidmetrics.core.errors.BaselineError` for a path that is neither.
    """
    if path.is_dir():
        found = {"/".join(file.parts[-3:]): read_baseline(file) for file in sorted(path.glob("*/*/*.json"))}
        scores: dict[str, Baseline | str] = {key: one for key, one in found.items() if one is not None}
    else:
        scores = {
            key: parse_baseline(gate["observed"], f"{path}: {key}")
            if gate.get("observed")
            else f"{gate['verdict']['word']}: {gate['verdict']['reason']}"
            for key, gate in read_record(path).items()
        }
    if not scores:
        raise BaselineError(f"{path} holds no scores: expected a run record or <manifest>/<case>/<gate>.json files")
    return scores


def compare(old: Mapping[str, Baseline | str], new: Mapping[str, Baseline | str], policy: Policy) -> dict[str, Verdict]:
    """Judge every gate of either side, ``new`` against ``old``; one that is missing on a side never passes."""
    return {key: _verdict(key, old.get(key), new.get(key), policy) for key in sorted(old.keys() | new.keys())}


def _verdict(key: str, old: Baseline | str | None, new: Baseline | str | None, policy: Policy) -> Verdict:
    if not isinstance(new, Baseline):
        return Verdict("ERROR", new or "the second side has no such gate")
    if isinstance(old, str):
        return Verdict("ERROR", f"the first side has no score: {old}")
    name = str(new.metric.get("name", ""))
    return judge(MetricConfig(Path(key).stem, name, {}, policy), observed_of(new), old)


def observed_of(scores: Baseline) -> Observed:
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
        problems=() if scores.samples else (Problem("corpus", "failed", "no sample was recorded"),),
    )
