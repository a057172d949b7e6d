"""The record of a run: every gate's numbers in one JSON file, for comparison, review, reports and history.

The layout, schema 1::

    {
     "schema": 1,
     "environment": {            facts of the run, texts; those of the hook pytest_vidmetrics_update_environment too
       "checkpoint": "step-2000",  what {checkpoint} stood for; absent when no option said so
       "commit": "3f2a…",          git commit of pytest's rootdir, with "-dirty" where files were changed
       "time": "2026-03-01T12:00:00+00:00",
       "device": "cpu fp32",       what scored and how exactly, by comma; absent when the store had everything
       "python": …, "machine": …, "torch": …, "numpy": …
     },
     "work": {"decoded": 2, "computed": 4, "reused": 156},
     "cases": {"bench/wan.vidmetrics.toml::t2v": {"waves": {"video": "clips/…/waves.mp4", "reference": …,
                                                            "text_prompt": …}}},
     "gates": [{
       "gate": "bench/wan.vidmetrics.toml::t2v::common.psnr",   node id of the gate, or of the test and its check
       "kind": "gate",                                          or "check": of a test function
       "file": "wan/t2v/common.psnr.json",                      its baseline, below the folder of the baselines
       "cohort": "common",                                      or the cohort whose own baseline judged
       "verdict": {"status": "REGRESSED", "reason": …, "baseline": …, "now": …, "harm": …, "margin": …,
                   "margin_from": …, "interval": [low, high], "p": …, "n": …, "decide": …, "notes": [],
                   "worst": [{"id": …, "path": …, "baseline": …, "now": …, "harm": …}], "details": {}},
       "policy": {"abs": …, "rel": …, "sigma": …, "decide": …, "alpha": …, "min_n": …},
       "scores": {…},          core.scores.CorpusScore as it was observed, every field; null without a score
       "recorded_by": {…},     core of a baseline: whose it would be (gates.recorder.Recorder)
       "recorded": {"waves": 40.29},   the values of the baseline by clip; empty when there was none
       "noise": {"sigma": …, "runs": …, "kind": …},   what the baseline says of its noise; null where nobody measured it
       "p_holm": 0.03          p of the gate when all gates of the run are judged together; null without one
     }],
     "rankings": [{"case": …, "gate": …, "rows": [[…]], "result": {…}, …}]   gates.rank_report.RankReport, by case
    }

Paths below pytest's rootdir are relative to it. The identity of a metric, which may hold a path, is written as it is.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.files import read_whole, write_atomic
from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.core.work import Work
from pytest_vidmetrics.gates.baseline import Noise
from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.gates.recorder import Recorder

SCHEMA = 1
_RECORD_IN_PAGE = re.compile(rb'<script type="text/plain" id="record">([A-Za-z0-9+/=]+)</script>')
_LARGEST = 1 << 30
RUN_FACTS = ("checkpoint", "commit", "time")
"""Facts of the environment that are those of a run, not of the machine: a baseline does not say them."""


@dataclass(frozen=True)
class GateRecord(Wire):
    """One gate of a run, or one check of a test function: observation, policy and verdict."""

    gate: str
    file: str
    verdict: Verdict
    kind: Literal["gate", "check"] = "gate"
    cohort: str = "common"
    policy: Policy = field(default_factory=Policy)
    scores: CorpusScore | None = None
    recorded_by: Recorder | None = None
    recorded: Mapping[str, float] = field(default_factory=dict)
    noise: Noise | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class RunRecord(Wire):
    """A whole run. ``cases`` are the clips of each case: ``{case: {clip: {key: path or prompt}}}``."""

    gates: tuple[GateRecord, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    work: Work = field(default_factory=Work)
    cases: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    rankings: tuple[RankReport, ...] = ()
    schema: int = SCHEMA

    def by_file(self) -> dict[str, GateRecord]:
        """Return the gates by their baseline file."""
        return {gate.file: gate for gate in self.gates}


def portable(record: RunRecord, root: Path) -> RunRecord:
    """Return a record whose gates are sorted and whose paths below ``root`` are relative to it."""
    # The slash belongs to the root: "/data" is not a prefix of "/data2".
    gates = tuple(_portable(gate, f"{root}/") for gate in sorted(record.gates, key=lambda gate: gate.gate))
    cases = {
        case: {id: _below(values, f"{root}/") for id, values in clips.items()} for case, clips in record.cases.items()
    }
    return replace(record, gates=gates, cases=cases)


def write_record(path: Path, record: RunRecord, root: Path) -> None:
    """Write the record whole or not at all; paths below ``root`` are written relative to it. Raises ``OSError``."""
    tree = portable(record, root).to_wire()
    text = json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, text.encode(), durable=True)


def packed(record: RunRecord) -> str:
    """Return a record as a page holds it, in base64: what :func:`read_record` finds there."""
    # mtime=0: the same record gives the same bytes.
    text = json.dumps(record.to_wire(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


def _unpacked(page: bytes) -> bytes:
    """Return the record inside of a page. Raises ``ValueError`` for a page without one."""
    found = _RECORD_IN_PAGE.search(page)
    if found is None:
        raise ValueError("the page holds no run record")
    try:
        with gzip.open(io.BytesIO(base64.b64decode(found[1], validate=True))) as stream:
            # One byte more than allowed shows that there is more, without unpacking it.
            data = stream.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the run record in the page is damaged: {error}") from error
    if len(data) > _LARGEST:
        raise ValueError("the run record in the page is too large")
    return data


def read_record(path: Path) -> RunRecord:
    """Return a run record, from its file or from the page that was made of it.

    Raises :class:`~pytest_vidmetrics.core.errors.BaselineError` for a file that is not a record of this version, and
    for two gates of one baseline file.
    """
    try:
        data = read_whole(path)
        text = _unpacked(data) if data.startswith(b"<!DOCTYPE html>") else data
        return _checked(json.loads(text, parse_constant=_no_number))
    except OSError as error:
        raise BaselineError(f"cannot read the run record {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path}: not a run record of schema {SCHEMA}: {error}") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def _checked(tree: Any) -> RunRecord:
    schema = tree.get("schema", "none") if isinstance(tree, dict) else SCHEMA
    # Bool is an int, and True == 1.
    if schema != SCHEMA or isinstance(schema, bool):
        raise ValueError(f"it has schema {schema!r:.40}, this version reads {SCHEMA}")
    record = RunRecord.from_wire(tree, "the record")
    seen: dict[str, int] = {}
    for number, gate in enumerate(record.gates):
        if seen.setdefault(gate.file, number) != number:
            raise ValueError(f"gates[{number}] has the baseline file {gate.file}, and so has a gate before it")
        clusters = gate.scores.clusters if gate.scores is not None else {}
        lost = sorted(gate.scores.samples.keys() - clusters.keys()) if gate.scores is not None and clusters else []
        if lost:
            raise ValueError(f"{gate.file}: clusters lists some samples only, and not {', '.join(lost[:3])}")
    return record


def _portable(gate: GateRecord, root: str) -> GateRecord:
    """Return a gate whose paths start at the root. The identity of its metric stays: it is compared."""
    verdict, scores = gate.verdict, gate.scores
    worst = tuple(replace(clip, path=clip.path.removeprefix(root)) for clip in verdict.worst)
    notes = tuple(note.replace(root, "") for note in verdict.notes)
    reason = verdict.reason.replace(root, "")
    verdict = replace(verdict, reason=reason, notes=notes, worst=worst, details=_plain(verdict.details, root))
    if scores is not None:
        problems = tuple(replace(one, reason=one.reason.replace(root, "")) for one in scores.problems)
        # Not a prefix: a sentence may name several files anywhere in it.
        scores = replace(
            scores, paths=_below(scores.paths, root), problems=problems, details=_plain(scores.details, root)
        )
    return replace(gate, verdict=verdict, scores=scores)


def _below(paths: Mapping[str, str], root: str) -> dict[str, str]:
    return {key: path.removeprefix(root) for key, path in paths.items()}


def _plain(value: Any, root: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one, root) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, root) for one in value]
    return value.replace(root, "") if isinstance(value, str) else value
