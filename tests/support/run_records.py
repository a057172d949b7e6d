"""Run records for tests of reports, with as many gates and clips as a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.verdict import Status, Verdict
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.gates.recorder import Recorder

CASE = "bench/wan.vidmetrics.toml::t2v"


def gate(
    name: str,
    samples: Mapping[str, float],
    recorded: Mapping[str, float],
    *,
    status: Status = "REGRESSED",
    higher_is_better: bool = True,
    problems: Sequence[Problem] = (),
    case: str = CASE,
    **verdict: Any,
) -> GateRecord:
    """Return a gate whose scores are the means of its samples."""
    score = sum(samples.values()) / len(samples) if samples else None
    was = sum(recorded.values()) / len(recorded) if recorded else None
    harm = None if score is None or was is None else (was - score) * (1 if higher_is_better else -1)
    facts = {"metric": name, "baseline": was, "now": score, "harm": harm, "margin": 0.5, "n": len(samples)} | verdict
    scores = CorpusScore(
        metric={"name": name, "version": "1"},
        higher_is_better=higher_is_better,
        score=score,
        samples=dict(samples),
        paths={id: f"clips/{id}.mp4" for id in samples},
        sample_ids="0" * 64,
        reference=None,
        problems=tuple(problems),
        is_mean=True,
    )
    return GateRecord(
        gate=f"{case}::{name}",
        file=f"bench/wan/t2v/{name}.json",
        verdict=Verdict(status, f"{status.lower()} because of a test", **facts),
        scores=scores,
        recorded_by=Recorder("manifest", "../bench/wan.vidmetrics.toml", "t2v", name),
        recorded=dict(recorded),
    )


def record(
    gates: Sequence[GateRecord],
    files: Mapping[str, Mapping[str, str]] | None = None,
    case: str = CASE,
    **environment: str,
) -> RunRecord:
    """Return a record; ``files`` are the sample keys of each clip."""
    return RunRecord(tuple(gates), environment, cases={case: files} if files else {})
