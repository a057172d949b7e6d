"""What the report says, before any page: gates with their numbers, clips worst first, and the files behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_vidmetrics.core.verdict import PASSING, Verdict
from pytest_vidmetrics.core.wording import number
from pytest_vidmetrics.gates.accept import acceptable
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.metrics.registry import unit_of
from pytest_vidmetrics.report.clips import CANDIDATE, ClipView, Seats, case_of, clips_of

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
    is_set: bool = False
    """Whether the values of clips are their influence on the score of all."""
    side: str = CANDIDATE
    """Which file of a clip it scores."""

    @property
    def is_red(self) -> bool:
        """Whether its test fails."""
        # A test that is skipped has not failed.
        return self.verdict.status not in PASSING and self.verdict.status != "SKIPPED"

    @property
    def change(self) -> float | None:
        """How far the score moved."""
        was, now = self.verdict.baseline, self.verdict.now
        return None if was is None or now is None else now - was


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

    @property
    def order(self) -> str:
        """How the clips are ordered: by harm where something is recorded, else by how far methods are apart."""
        if any(clip.problems or any(score.was is not None for score in clip.scores) for clip in self.clips):
            return "worst first"
        return "where methods differ most first" if any(clip.severity for clip in self.clips) else "by name"

    def name_of(self, case: str) -> str:
        """Return a case without what the ids of all gates begin with."""
        return case.removeprefix(f"{self.subject}::")

    def key(self, case: str, id: str) -> str:
        """Return the name of a clip in the address of the page: its case too, where there are several."""
        return f"{self.name_of(case)}::{id}" if len({clip.case for clip in self.clips}) > 1 else id


def view(record: RunRecord, others: Mapping[str, RunRecord] | None = None) -> RunView:
    """Return what a record says.

    The clips of ``others``, by name, stand beside those of the same id and case; so do those of ranked methods.
    """
    ranked = sorted(
        record.gates, key=lambda gate: (ORDER.index(gate.verdict.status), -_beyond(gate.verdict), gate.gate)
    )
    prefix = _common_prefix([gate.gate for gate in ranked])
    seats = Seats.of(record, others or {})
    gates = tuple(_gate(gate, prefix, seats) for gate in ranked)
    clips = sorted(clips_of(ranked, record, seats), key=lambda clip: (-clip.severity, clip.case, clip.id))
    # A side without any file has no column.
    used = {side for clip in clips for side in clip.files}
    sides = tuple(side for side in seats.sides if side in used)
    counts = {status: n for status in ORDER if (n := sum(gate.verdict.status == status for gate in gates))}
    subject = prefix.removesuffix("::")
    title = record.environment.get("checkpoint") or subject or "video metrics"
    return RunView(title, subject, gates, tuple(clips), sides, record.environment, str(record.work), counts)


def _gate(gate: GateRecord, prefix: str, seats: Seats) -> GateView:
    scores = gate.scores
    return GateView(
        id=gate.gate,
        label=gate.gate.removeprefix(prefix) + ("" if gate.cohort == "common" else f" @{gate.cohort}"),
        case=case_of(gate.gate),
        file=gate.file,
        verdict=gate.verdict,
        unit=unit_of(gate.verdict.metric),
        higher_is_better=scores.higher_is_better if scores is not None else True,
        p_holm=gate.p_holm,
        identity=scores.metric if scores is not None else {},
        policy=gate.policy.to_wire(),
        noise=_noise(gate),
        is_set=scores is not None and scores.is_set,
        side=seats.of_case(case_of(gate.gate))[1],
        can_be_accepted=not acceptable(gate),
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


def _common_prefix(ids: Sequence[str]) -> str:
    """Return what all ids share, up to the last ``::``; nothing of a single one but its case."""
    if not ids:
        return ""
    shared = case_of(ids[0]).split("::")
    for one in ids[1:]:
        # Case by case from the left: a label keeps whole words between "::".
        parts = case_of(one).split("::")
        same = next(
            (i for i, (a, b) in enumerate(zip(shared, parts, strict=False)) if a != b), min(len(shared), len(parts))
        )
        shared = shared[:same]
    return "::".join(shared) + "::" if shared and shared != [""] else ""
