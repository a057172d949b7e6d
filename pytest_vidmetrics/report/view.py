"""What the report says, before any page: gates with their numbers, clips worst first, and the files behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.verdict import PASSING, Verdict
from pytest_vidmetrics.core.wording import number
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.metrics.registry import unit_of

ORDER = (
    "ERROR",
    "REGRESSED",
    "MISSING",
    "STALE",
    "UNAVAILABLE",
    "SKIPPED",
    "IMPROVED",
    "UPDATED",
    "RECORDED",
    "CALIBRATED",
    "UNCHANGED",
    "PASS",
)
"""Statuses, those that need a person first."""
NOT_JUDGED = frozenset({"ERROR", "UNAVAILABLE", "SKIPPED"})
MAIN_SIDES = ("candidate", "reference")
_SIDE_KEYS = {"candidate": ("video", "audio"), "reference": ("reference", "reference_audio")}
_RED = 2.0
"""How a red gate weighs in the order of clips: its worst clip comes before the worst of every green gate."""

_SHARE = 0.5
"""How a clip's influence on the score of a set weighs beside a score of its own."""


@dataclass(frozen=True)
class GateView:
    """One gate or check. ``label`` is its id without what all ids of the run begin with."""

    id: str
    label: str
    case: str
    file: str
    verdict: Verdict
    unit: str
    higher_is_better: bool
    p_holm: float | None
    identity: Mapping[str, Any]
    policy: Mapping[str, Any]
    can_be_accepted: bool
    noise: str

    @property
    def is_red(self) -> bool:
        """Whether its test fails."""
        return self.verdict.status not in PASSING and self.verdict.status != "SKIPPED"

    @property
    def change(self) -> float | None:
        """How far the score moved."""
        was, now = self.verdict.baseline, self.verdict.now
        return None if was is None or now is None else now - was


@dataclass(frozen=True)
class ClipScore:
    """One gate's values of one clip: recorded, now, and how much worse it got."""

    gate: int
    was: float | None
    now: float | None
    harm: float | None


@dataclass(frozen=True)
class ClipView:
    """One clip of one case, with its files by side, and what every gate says of it."""

    id: str
    case: str
    prompt: str
    severity: float
    scores: tuple[ClipScore, ...]
    files: Mapping[str, str]
    problems: tuple[str, ...] = ()

    @property
    def worst(self) -> ClipScore | None:
        """The score that got worst."""
        known = [one for one in self.scores if one.harm is not None]
        return max(known, key=lambda one: one.harm or 0.0, default=None)


@dataclass(frozen=True)
class RunView:
    """A whole run: gates by urgency, clips worst first. ``sides`` are the names of the files of a clip.

    ``subject`` is what the ids of all gates begin with.
    """

    title: str
    subject: str
    gates: tuple[GateView, ...]
    clips: tuple[ClipView, ...]
    sides: tuple[str, ...]
    environment: Mapping[str, str]
    work: str
    counts: Mapping[str, int] = field(default_factory=dict)


def view(record: RunRecord, others: Mapping[str, RunRecord] | None = None) -> RunView:
    """Return what a record says. The clips of ``others``, by name, stand beside those of the same id and case."""
    ranked = sorted(
        record.gates, key=lambda gate: (ORDER.index(gate.verdict.status), -_beyond(gate.verdict), gate.gate)
    )
    prefix = _common_prefix([gate.gate for gate in ranked])
    gates = tuple(_gate(gate, prefix) for gate in ranked)
    files = {name: other.cases for name, other in (others or {}).items()}
    clips = sorted(_clips(ranked, record.cases, files), key=lambda clip: (-clip.severity, clip.case, clip.id))
    used = {side for clip in clips for side in clip.files}
    sides = tuple(side for side in (*MAIN_SIDES, *files) if side in used)
    counts = {status: n for status in ORDER if (n := sum(gate.verdict.status == status for gate in gates))}
    subject = prefix.removesuffix("::")
    title = record.environment.get("checkpoint") or subject or "video metrics"
    return RunView(title, subject, gates, tuple(clips), sides, record.environment, str(record.work), counts)


def clips_beside(record: RunRecord, folder: Path) -> RunRecord:
    """Return a record of the clips in a folder that have the file names of a run's clips.

    Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` when there is none.
    """
    cases = {
        case: {
            id: {key: str(path) for key in _SIDE_KEYS["candidate"] if (path := _beside(values.get(key), folder))}
            for id, values in listed.items()
        }
        for case, listed in record.cases.items()
    }
    if not any(values for listed in cases.values() for values in listed.values()):
        raise VidmetricsError(f"{folder} holds no file that has the name of a clip of this run")
    return RunRecord((), cases=cases)


def _beside(path: str | None, folder: Path) -> Path | None:
    there = (folder / Path(path).name).absolute() if path else None
    return there if there is not None and there.exists() else None


def _gate(gate: GateRecord, prefix: str) -> GateView:
    scores = gate.scores
    return GateView(
        id=gate.gate,
        label=gate.gate.removeprefix(prefix) + ("" if gate.cohort == "common" else f" @{gate.cohort}"),
        case=_case(gate.gate),
        file=gate.file,
        verdict=gate.verdict,
        unit=unit_of(gate.verdict.metric),
        higher_is_better=scores.higher_is_better if scores is not None else True,
        p_holm=gate.p_holm,
        identity=scores.metric if scores is not None else {},
        policy=gate.policy.to_wire(),
        noise=_noise(gate),
        can_be_accepted=scores is not None and scores.score is not None and gate.recorded_by is not None,
    )


def _noise(gate: GateRecord) -> str:
    """Return what is known of how much a score moves by itself."""
    said = []
    if gate.noise is not None:
        said.append(f"standard deviation {number(gate.noise.sigma)} over {gate.noise.runs} runs ({gate.noise.kind})")
    if gate.scores is not None and gate.scores.noise_floor:
        said.append(f"floor of the metric {number(gate.scores.noise_floor)}")
    return "; ".join(said) or "not measured (--vidmetrics-calibrate measures it)"


def _beyond(verdict: Verdict) -> float:
    """Return how many margins the harm is, to order gates of one status."""
    if verdict.harm is None:
        return 0.0
    return verdict.harm / verdict.margin if verdict.margin else verdict.harm


def _case(gate: str) -> str:
    return gate.rpartition("::")[0]


def _common_prefix(ids: Sequence[str]) -> str:
    """Return what all ids share, up to the last ``::``; nothing of a single one but its case."""
    if not ids:
        return ""
    shared = _case(ids[0]).split("::")
    for one in ids[1:]:
        parts = _case(one).split("::")
        same = next(
            (i for i, (a, b) in enumerate(zip(shared, parts, strict=False)) if a != b), min(len(shared), len(parts))
        )
        shared = shared[:same]
    return "::".join(shared) + "::" if shared and shared != [""] else ""


def _clips(
    gates: Sequence[GateRecord],
    cases: Mapping[str, Mapping[str, Mapping[str, str]]],
    others: Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]],
) -> Iterable[ClipView]:
    found: dict[tuple[str, str], list[ClipScore]] = {(case, id): [] for case, listed in cases.items() for id in listed}
    severity: dict[tuple[str, str], float] = {}
    problems: dict[tuple[str, str], list[str]] = {}
    paths: dict[tuple[str, str], str] = {}
    for place, gate in enumerate(gates):
        if gate.scores is None:
            continue
        case = _case(gate.gate)
        sign = 1.0 if gate.scores.higher_is_better else -1.0
        weight = (_RED if gate.verdict.status not in PASSING else 1.0) * (_SHARE if gate.scores.is_set else 1.0)
        rows = []
        for id, now in gate.scores.samples.items():
            was = gate.recorded.get(id)
            rows.append((id, ClipScore(place, was, now, None if was is None else sign * (was - now))))
        largest = max((row.harm for _, row in rows if row.harm is not None), default=0.0)
        for id, row in rows:
            key = case, id
            found.setdefault(key, []).append(row)
            paths.setdefault(key, gate.scores.paths.get(id, ""))
            if row.harm is not None and largest > 0:
                severity[key] = max(severity.get(key, 0.0), weight * row.harm / largest)
        for problem in gate.scores.problems:
            key = case, problem.sample
            found.setdefault(key, [])
            paths.setdefault(key, gate.scores.paths.get(problem.sample, ""))
            problems.setdefault(key, []).append(f"{gate.verdict.metric}: {problem.status}: {problem.reason}")
            if problem.status == "failed":
                severity[key] = 2 * _RED
    for (case, id), scores in found.items():
        values = cases.get(case, {}).get(id, {})
        files = {side: path for side, keys in _SIDE_KEYS.items() if (path := _first(values, keys))}
        if not files and paths.get((case, id)):
            files = {"candidate": paths[case, id]}
        for name, listed in others.items():
            if path := _first(listed.get(case, {}).get(id, {}), _SIDE_KEYS["candidate"]):
                files[name] = path
        yield ClipView(
            id,
            case,
            values.get("text_prompt", ""),
            severity.get((case, id), 0.0),
            tuple(scores),
            files,
            tuple(problems.get((case, id), ())),
        )


def _first(values: Mapping[str, str], keys: Sequence[str]) -> str:
    return next((values[key] for key in keys if values.get(key)), "")
