"""Clips of a run with their files side by side, and how bad each one is: by case, by method, or beside other runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.verdict import PASSING
from pytest_vidmetrics.gates.record import GateRecord, RunRecord

CANDIDATE, REFERENCE = "candidate", "reference"
_KEYS = {CANDIDATE: ("video", "audio"), REFERENCE: ("reference", "reference_audio")}
_RED = 2.0
"""How a red gate weighs in the order of clips: its worst clip comes before the worst of every green gate."""

_SHARE = 0.5
"""How a clip's influence on the score of a set weighs beside a score of its own."""


_APART = 0.25
"""How the distance of two methods weighs beside a clip that got worse."""


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
class Seats:
    """Where the clips of each case stand.

    A case has its clips as candidates. The methods of a case that is ranked share one row for each id, with a side for
    every method, the best one first. ``sides`` are the names of all sides in their order.
    """

    sides: tuple[str, ...]
    methods: Mapping[str, tuple[str, str]]
    others: Mapping[str, RunRecord]

    @classmethod
    def of(cls, record: RunRecord, others: Mapping[str, RunRecord]) -> Seats:
        """Return the seats of a record: methods are the cases below one that was ranked."""
        order = {
            f"{one.case}::{row['method']}": place
            # Reversed: of several gates' rankings the first one counts.
            for one in reversed(record.rankings)
            for place, row in enumerate(one.result.get("methods", ()))
        }
        ranked = {one.case for one in record.rankings}
        found = [case for case in record.cases if case.rpartition("::")[0] in ranked]
        taken = {CANDIDATE, REFERENCE, *others}
        methods = {}
        for case in sorted(found, key=lambda case: (order.get(case, len(order)), case)):
            parent, _, name = case.rpartition("::")
            # A method may be called "candidate" or as a run beside.
            methods[case] = parent, f"method {name}" if name in taken else name
        names = dict.fromkeys(side for _, side in methods.values())
        beside = [_beside_of(name, side) for side in (CANDIDATE, *names) for name in others]
        return cls((CANDIDATE, *names, REFERENCE, *beside), methods, others)

    def of_case(self, case: str) -> tuple[str, str]:
        """Return the case whose rows the clips of a case are in, and their side."""
        return self.methods.get(case, (case, CANDIDATE))


def case_of(gate: str) -> str:
    """Return the case in the id of a gate."""
    return gate.rpartition("::")[0]


def clips_beside(record: RunRecord, folder: Path) -> RunRecord:
    """Return a record of the clips in a folder that have the file names of a run's clips.

    Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` when there is none.
    """
    cases = {
        case: {
            id: {key: str(path) for key in _KEYS[CANDIDATE] if (path := _beside(values.get(key), folder))}
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


def _beside_of(name: str, side: str) -> str:
    return name if side == CANDIDATE else f"{side} ({name})"


def path_of(values: Mapping[str, str], side: str = CANDIDATE) -> str:
    """Return the file of a side among the values of a clip; nothing where there is none."""
    return next((values[key] for key in _KEYS[side] if values.get(key)), "")


@dataclass
class _Found:
    """What is known of one clip so far."""

    prompt: str = ""
    severity: float = 0.0
    scores: list[ClipScore] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    """Metrics by what went wrong."""


def clips_of(gates: Sequence[GateRecord], record: RunRecord, seats: Seats) -> Iterator[ClipView]:
    """Yield the clips of all gates; scores name their gate by its place in ``gates``."""
    found: dict[tuple[str, str], _Found] = {}
    for case, listed in record.cases.items():
        row, side = seats.of_case(case)
        for id, values in listed.items():
            _add_files(found.setdefault((row, id), _Found()), case, id, side, values, seats)
    for place, gate in enumerate(gates):
        if gate.scores is not None:
            _add_scores(found, gate, place, *seats.of_case(case_of(gate.gate)))
    _add_spread(found, gates)
    for (case, id), clip in found.items():
        problems = tuple(f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in clip.problems.items())
        yield ClipView(id, case, clip.prompt, clip.severity, tuple(clip.scores), clip.files, problems)


def _add_spread(found: Mapping[tuple[str, str], _Found], gates: Sequence[GateRecord]) -> None:
    """Order clips that nothing is recorded of by how far methods are apart, in the metric in which they are most."""
    spread: dict[str, dict[tuple[str, str], float]] = {}
    for key, clip in found.items():
        values: dict[str, list[float]] = {}
        for score in clip.scores:
            if score.now is not None:
                values.setdefault(gates[score.gate].gate.rpartition("::")[2], []).append(score.now)
        for metric, known in values.items():
            spread.setdefault(metric, {})[key] = max(known) - min(known)
    for by_clip in spread.values():
        largest = max(by_clip.values())
        for key, apart in by_clip.items():
            if largest > 0 and all(score.was is None for score in found[key].scores):
                found[key].severity = max(found[key].severity, _APART * apart / largest)


def _add_files(clip: _Found, case: str, id: str, side: str, values: Mapping[str, str], seats: Seats) -> None:
    clip.prompt = clip.prompt or values.get("text_prompt", "")
    if path := path_of(values):
        clip.files[side] = path
    if path := path_of(values, REFERENCE):
        # Methods of a row have the same reference: the first one that is named stays.
        clip.files.setdefault(REFERENCE, path)
    for name, other in seats.others.items():
        if path := path_of(other.cases.get(case, {}).get(id, {})):
            clip.files[_beside_of(name, side)] = path


def _add_scores(found: dict[tuple[str, str], _Found], gate: GateRecord, place: int, case: str, side: str) -> None:
    scores = gate.scores
    assert scores is not None, "who calls sees to it"
    sign = 1.0 if scores.higher_is_better else -1.0
    weight = (_RED if gate.verdict.status not in PASSING else 1.0) * (_SHARE if scores.is_set else 1.0)
    rows = []
    for id, now in scores.samples.items():
        was = gate.recorded.get(id)
        rows.append((id, ClipScore(place, was, now, None if was is None else sign * (was - now))))
    # Harms of one gate are compared with its own worst one: gates have other units.
    largest = max((row.harm for _, row in rows if row.harm is not None), default=0.0)
    for id, row in rows:
        clip = found.setdefault((case, id), _Found())
        clip.scores.append(row)
        # Only of gates whose case is not listed, as of checks: others know their files.
        if not clip.files and (path := scores.paths.get(id)):
            clip.files[side] = path
        if row.harm is not None and largest > 0:
            clip.severity = max(clip.severity, weight * row.harm / largest)
    for problem in scores.problems:
        clip = found.setdefault((case, problem.sample), _Found())
        if not clip.files and (path := scores.paths.get(problem.sample)):
            clip.files[side] = path
        name = gate.verdict.metric if side == CANDIDATE else f"{side}::{gate.verdict.metric}"
        clip.problems.setdefault(f"{problem.status}: {problem.reason}", []).append(name)
        if problem.status == "failed":
            # Above every regression: nothing is known of it.
            clip.severity = 2 * _RED
