"""Two sets of scores, offline: run records or folders of baselines, judged by the rules of the gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.engine.reduce import keeps_influence, takes_mean
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.gates.record import GateRecord, RunRecord, read_record
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.metrics import registry

# A gate that came to such a verdict may hold the scores of some of its clips only.
_INCOMPLETE = ("ERROR", "UNAVAILABLE", "SKIPPED")
_NOBODY = Recorder("check", "", "", "")


@dataclass(frozen=True)
class Scores:
    """One gate's scores, and what a run record adds: the policy of the gate."""

    baseline: Baseline
    policy: Policy = field(default_factory=Policy)


def load_scores(path: Path) -> dict[str, Scores | str]:
    """Return ``{manifest/case/gate.json: scores}`` of a run record or of a baseline folder.

    A gate of a record that has no score is the reason why, as text. Raises
    :class:`~pytest_vidmetrics.core.errors.BaselineError` for a path that is neither.
    """
    scores: dict[str, Scores | str] = {}
    if path.is_dir():
        folder = BaselineFolder(path, path)
        for key in folder.all_keys():
            if (found := folder.read(key)) is not None:
                # A run record holds these facts, a baseline file only the metric's name.
                scores[key] = Scores(replace(found, scores=_with_class_facts(found.scores)))
    else:
        scores = scores_of(read_record(path))
    if not scores:
        raise BaselineError(f"{path} holds no scores: expected a run record or <manifest>/<case>/<gate>.json files")
    return scores


def scores_of(record: RunRecord) -> dict[str, Scores | str]:
    """Return the scores of a run by baseline file, or why there are none, as text."""
    return {key: _recorded(gate) for key, gate in record.by_file().items()}


def apart(one: Verdict) -> str:
    """Return whether a difference is told apart from none, ``yes`` or ``no``; ``-`` where nothing says so."""
    if one.interval is None:
        return "-"
    # An interval that holds 0 does not tell the two apart.
    return "no" if one.interval[0] <= 0 <= one.interval[1] else "yes"


def _recorded(gate: GateRecord) -> Scores | str:
    if gate.scores is None or gate.scores.score is None or gate.verdict.status in _INCOMPLETE:
        return f"{gate.verdict.status}: {gate.verdict.reason}"
    if (drawn := gate.scores.drawn) is not None:
        return f"only {gate.scores.n} of {drawn.listed} samples were scored, until the gate was sure"
    return Scores(Baseline.of(gate.scores, gate.recorded_by or _NOBODY), gate.policy)


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
    name = str(new.baseline.scores.metric.get("name", ""))
    config = MetricConfig(Path(key).stem, name, {}, replace(new.policy, **given))
    observed = new.baseline.scores
    if not observed.samples:
        # A large baseline keeps its samples in a store, which is not read here.
        observed = replace(observed, problems=(Problem("corpus", "failed", "no sample was recorded"),))
    return judge(config, observed, old.baseline if old is not None else None, looked_for="the first side has none")


def _with_class_facts(scores: CorpusScore) -> CorpusScore:
    """Return recorded scores with what baseline files leave out: facts of the metric's class, where there is one."""
    try:
        cls = registry.metric_class(str(scores.metric.get("name", "")))
    except KeyError:
        return scores
    return replace(
        scores,
        is_set=keeps_influence(cls),
        is_mean=takes_mean(cls),
        binary=cls.binary,
        noise_floor=cls.noise_floor,
        floor_known=bool(cls.noise_floor or cls.noise_source),
        neutral_shift=cls.neutral_shift,
    )
