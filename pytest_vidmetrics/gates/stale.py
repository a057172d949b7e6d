"""Whether two scores may be compared at all, and what can be said where only some samples are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import counted, shown, some
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.digits import rounded


def differences(recorded: Baseline, observed: CorpusScore) -> list[str]:
    """Return what makes two scores incomparable, one line each; empty when they may be compared."""
    was = recorded.scores
    lines = _conditions(was, observed)
    # A gate that decides early scored a part of the recorded samples, which is not a difference.
    same = observed.samples.keys() <= was.samples.keys() if observed.drawn else _same_ids(was, observed)
    others = not same and not observed.chooses
    changed = _changed(was, observed)
    reference = was.reference != observed.reference
    if was.sample_ids != observed.sample_ids or others:
        lines += _sample_lines(was, observed, changed)
        reference = reference and not (was.inputs and observed.inputs)  # it is among what each sample was scored with
    elif changed and not reference:
        lines += _sample_lines(was, observed, changed)
    if reference:
        which = f": {some(changed, 3)}" if changed else ""
        lines.append(f"reference set: the reference clips have other content{which}")
    return lines


def _same_ids(was: CorpusScore, now: CorpusScore) -> bool:
    return was.samples.keys() == now.samples.keys()


def _conditions(was: CorpusScore, now: CorpusScore) -> list[str]:
    lines = _diff("metric", dict(was.metric), dict(now.metric))
    if was.higher_is_better != now.higher_is_better:
        lines.append("direction: the metric's direction changed")
    return lines


def _changed(was: CorpusScore, now: CorpusScore) -> list[str]:
    """Return the samples of both sides with other prompts, values or references; none where that is not known."""
    return [id for id in sorted(was.inputs.keys() & now.inputs.keys()) if was.inputs[id] != now.inputs[id]]


def _sample_lines(was: CorpusScore, now: CorpusScore, changed: list[str]) -> list[str]:
    before, after = (was.inputs or was.samples).keys(), (now.inputs or now.samples).keys()
    groups = (
        (sorted(before - after), "gone"),
        (sorted(after - before), "new"),
        (changed, "with other prompts, values or references"),
    )
    text = "; ".join(f"{len(ids)} {word} ({some(ids, 3)})" for ids, word in groups if ids)
    return [f"sample set: {text or 'other prompts or values that the metric reads'}"]


@dataclass(frozen=True)
class Common:
    """The samples that a baseline and an observation share, where the metric is the same; ids of the other samples.

    ``changed`` are on both sides, with other prompts, values or references: as samples they are not the same.
    """

    recorded: Baseline
    observed: CorpusScore
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def text(self) -> str:
        """Return what was added, removed and changed, in words."""
        groups = ((self.added, "added"), (self.removed, "removed"), (self.changed, "changed"))
        parts = [f"{counted(len(ids), 'sample')} {word} ({some(ids, 3)})" for ids, word in groups if ids]
        return " and ".join((", ".join(parts[:-1]), parts[-1])) if parts[1:] else "".join(parts)


def common(recorded: Baseline, observed: CorpusScore) -> Common | None:
    """Return the common part of two scores when only samples were added, removed or changed, or ``None``.

    Only for metrics whose score is the mean over the samples: the score of a set is not that of its parts.
    """
    was = recorded.scores
    if not (was.inputs and observed.inputs and observed.is_mean and not observed.chooses) or _conditions(was, observed):
        return None
    if was.inputs == observed.inputs:
        return None
    changed = _changed(was, observed)
    both = [id for id in observed.samples if id in was.samples and id not in changed]
    if not both:
        return None
    return Common(
        replace(recorded, scores=of_ids(was, both)),
        of_ids(observed, both),
        tuple(sorted(observed.inputs.keys() - was.inputs.keys())),
        tuple(sorted(was.inputs.keys() - observed.inputs.keys())),
        tuple(changed),
    )


def extended(recorded: Baseline, observed: CorpusScore) -> CorpusScore:
    """Return the observation with the recorded values of the samples that are listed as they were recorded."""
    was = recorded.scores
    same = [id for id, digest in was.inputs.items() if digest == observed.inputs.get(id)]
    samples = {**observed.samples, **{id: was.samples[id] for id in same if id in was.samples}}
    clips = {**observed.clips, **{id: was.clips[id] for id in same if id in was.clips}}
    return rounded(replace(observed, samples=samples, score=_mean(samples), clips=clips))


def of_ids(scores: CorpusScore, ids: Sequence[str]) -> CorpusScore:
    """Return the score of some samples, where it is the mean over the samples."""
    samples = {id: scores.samples[id] for id in ids}
    clusters = {id: scores.clusters[id] for id in ids} if scores.clusters else {}
    facts: dict[str, Any] = {"samples": samples, "clusters": clusters, "inputs": {}}
    return replace(scores, score=_mean(samples), sample_ids="", reference=None, **facts)


def _mean(samples: Mapping[str, float]) -> float:
    # Divided first: the sum of very many large scores must not overflow.
    return math.fsum(value / len(samples) for value in samples.values())


def _diff(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [line for key in keys for line in _diff(f"{name}.{key}", old.get(key), new.get(key))]
    # Precision is a condition with an option of its own, so its line says which; one in params is the user's choice.
    if old != new and name.endswith(".precision") and not name.endswith(".params.precision"):
        return [_other_precision(old or "fp32", new or "fp32")]
    return [] if old == new else [f"{name}: recorded {shown(old)}, now {shown(new)}"]


def _other_precision(old: str, new: str) -> str:
    """Return that two scores were computed in different precisions, which one of them names, and what mends it."""
    where = " on a GPU" if old == "tf32" else ""
    return (
        f"precision: recorded in {old}, now in {new}, which moves this score by more than noise; score in the same "
        f"with --vidmetrics-precision={old}{where}, or record again with --vidmetrics-precision={new}"
    )


def answered(observed: CorpusScore, recorded: Baseline | None) -> tuple[CorpusScore, Baseline | None]:
    """Return both sides without the samples that a judge gave no answer about on either of them.

    Nothing changes for metrics that need every sample, where other samples are listed, or where none is left.
    """
    if recorded is None or observed.drawn or not (observed.may_miss and observed.is_mean):
        return observed, recorded
    was = recorded.scores
    both = [id for id in observed.samples if id in was.samples]
    same = was.sample_ids == observed.sample_ids and was.reference == observed.reference
    if not same or not both or len(both) == len(observed.samples) == len(was.samples):
        return observed, recorded
    return of_ids(observed, both), replace(recorded, scores=of_ids(was, both))
