"""Whether two scores are of comparable clips: what no score sees, length, rate, size and stillness, beside the number.

A clip is compared with its reference, and with what it was when the baseline was recorded. A difference is an error of
the gate unless its policy allows it; then the number counts by the rule that is said, and is never an improvement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_vidmetrics.core.clips import KINDS, ClipFacts, Kind, differences
from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import counted
from pytest_vidmetrics.engine.likeness import constant_text
from pytest_vidmetrics.gates.baseline import Baseline

Side = Literal["reference", "baseline"]
_SHOWN = 3
_RULES: Mapping[tuple[Side, Kind], str] = {
    ("reference", "frames"): "the first frames that both have are compared",
    ("reference", "rate"): "frames are compared by their number, whenever they are shown",
    ("reference", "size"): "the metric's own rule for sizes applies",
    ("reference", "duration"): "frames are compared by their number, however long they are shown",
    ("baseline", "frames"): "each score is that of the frames its clip has",
    ("baseline", "rate"): "each score is that of the frames its clip has, whenever they are shown",
    ("baseline", "size"): "each score is that of the size its clip has",
    ("baseline", "duration"): "each score is that of the frames its clip has, however long they are shown",
}
_SPOKEN: Mapping[Side, str] = {"reference": "its reference", "baseline": "in the baseline"}


@dataclass(frozen=True)
class _Unlike:
    """The clips that differ from one side in one way, each with both values as text."""

    side: Side
    kind: Kind
    clips: Mapping[str, tuple[str, str]]

    def text(self) -> str:
        """Name the clips and both values."""
        shown = [f"{id}: {now}, {_SPOKEN[self.side]} {then}" for id, (now, then) in self.clips.items()]
        more = f"; and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        return "; ".join(shown[:_SHOWN]) + more


def _unlike(observed: CorpusScore, others: Mapping[str, ClipFacts], side: Side, kinds: Iterable[Kind]) -> list[_Unlike]:
    """Return in which ways the scored clips differ from others, the most telling first."""
    wanted, found = tuple(kinds), dict[Kind, dict[str, tuple[str, str]]]()
    # Only clips that were scored on both sides; metrics that do not say what their clips are have none.
    for id in observed.samples:
        if id in observed.clips and id in others:
            for kind, values in differences(observed.clips[id], others[id]).items():
                found.setdefault(kind, {})[id] = values
    return [_Unlike(side, kind, found[kind]) for kind in KINDS if kind in found and kind in wanted]


def unlike_reference(policy: Policy, observed: CorpusScore) -> str:
    """Return why the clips cannot be compared with their references; empty when they can."""
    return _refused(policy, _of_references(observed), observed, "their references")


def unlike_baseline(policy: Policy, observed: CorpusScore, baseline: Baseline) -> str:
    """Return why the clips cannot be compared with those of the baseline; empty when they can."""
    return _refused(policy, _of_baseline(observed, baseline), observed, "those of the baseline")


def _of_references(observed: CorpusScore) -> list[_Unlike]:
    return _unlike(observed, observed.reference_clips, "reference", observed.compares)


def _of_baseline(observed: CorpusScore, baseline: Baseline) -> list[_Unlike]:
    return _unlike(observed, baseline.scores.clips, "baseline", KINDS)


def _refused(policy: Policy, found: list[_Unlike], observed: CorpusScore, others: str) -> str:
    refused = [one for one in found if one.kind not in policy.allow]
    if not refused:
        return ""
    clips = {id for one in refused for id in one.clips}
    # The hint repeats what is allowed already, so that it can be copied whole.
    names = ", ".join(f'"{kind}"' for kind in dict.fromkeys((*policy.allow, *(one.kind for one in refused))))
    return (
        f"{len(clips)} of {counted(observed.n, 'clip')} cannot be compared with {others}: "
        f"{'; '.join(one.text() for one in refused)} (if that is meant: allow = [{names}] in the case)"
    )


def notes(policy: Policy, observed: CorpusScore, baseline: Baseline) -> tuple[str, ...]:
    """Return what should be known of the clips beside a number: differences that are allowed, and new stillness."""
    found = (*_of_references(observed), *_of_baseline(observed, baseline))
    allowed = [one for one in found if one.kind in policy.allow]
    lines = [f'allow = ["{one.kind}"]: {_RULES[one.side, one.kind]}; {one.text()}' for one in allowed]
    if not baseline.scores.clips and observed.clips:
        lines.append("the baseline does not say what its clips were: lengths, rates and sizes are not compared with it")
    return (*lines, *_stilled(observed, baseline))


def _stilled(observed: CorpusScore, baseline: Baseline) -> tuple[str, ...]:
    """Name clips that never change and did when the baseline was recorded."""
    was = baseline.scores.clips
    still = [(id, observed.clips[id].constant) for id in observed.samples if id in observed.clips and id in was]
    gone = [(id, how) for id, how in still if how and not was[id].constant]
    return tuple(constant_text(gone, "and was not in the baseline", "and were not in the baseline"))


def no_improvement(observed: CorpusScore, baseline: Baseline) -> tuple[str, bool]:
    """Return why a better score is not an improvement, and whether that is a fault; empty when it may be one."""
    references, was = observed.reference_clips, baseline.scores.clips
    still = [
        id
        for id in observed.samples
        if (now := observed.clips.get(id)) is not None
        and now.constant
        and any(other is not None and not other.constant for other in (references.get(id), was.get(id)))
    ]
    if still:
        shown = "; ".join(f"{id} is {observed.clips[id].constant}" for id in still[:_SHOWN])
        more = f"; and {len(still) - _SHOWN} more" if len(still) > _SHOWN else ""
        return f"{shown}{more}, and its reference or its clip in the baseline is not", True
    if allowed := [*_of_references(observed), *_of_baseline(observed, baseline)]:
        return f"the clips differ, as allowed: {allowed[0].text()}", False
    return "", False
