"""What an item found, as it travels with its report from the process that ran it to the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.core.work import Work
from pytest_vidmetrics.gates.baseline import Baseline, Noise
from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.gates.recorder import Recorder

Kind = Literal["gate", "check"]


@dataclass(frozen=True)
class Outcome(Wire):
    """One gate, or one check of a test function: its verdict, and what is to be written when the run is over.

    ``file`` is the key of its baseline. ``scores``, ``recorded``, ``noise`` and ``clips`` travel only where a report is
    asked for.
    """

    kind: Kind
    gate: str
    file: str
    cohort: str
    verdict: Verdict
    owner: Recorder
    policy: Policy = field(default_factory=Policy)
    record: Baseline | None = None
    scores: CorpusScore | None = None
    recorded: Mapping[str, float] = field(default_factory=dict)
    noise: Noise | None = None
    clips: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemFacts(Wire):
    """Everything that one item says: a test function may make several checks, and fixtures of a gate too.

    ``claims`` are the baseline files of checks by their labels, also of checks that came to no verdict. ``unjudged`` is
    the name of a gate that was skipped before it was judged. ``device`` is where the item computed, ``ranking``
    what a ranking of methods came to.
    """

    outcomes: tuple[Outcome, ...] = ()
    claims: Mapping[str, str] = field(default_factory=dict)
    unjudged: str = ""
    work: Work = field(default_factory=Work)
    device: str = ""
    ranking: RankReport | None = None


_FACTS: pytest.StashKey[ItemFacts] = pytest.StashKey()
_TOLD: pytest.StashKey[ItemFacts] = pytest.StashKey()


def facts_so_far(item: pytest.Item) -> ItemFacts:
    """Return what an item has said."""
    return item.stash.get(_FACTS, ItemFacts())


def say(item: pytest.Item, facts: ItemFacts) -> None:
    """Replace what an item says."""
    item.stash[_FACTS] = facts


def news_of(item: pytest.Item) -> ItemFacts | None:
    """Return what an item says, if its last report did not say it already. Its work counts once."""
    facts, told = item.stash.get(_FACTS, None), item.stash.get(_TOLD, None)
    if facts is None or facts is told:
        return None
    item.stash[_TOLD] = facts
    same_run = told is not None and told.work == facts.work
    # What a teardown adds comes with the work that the call has reported already.
    return replace(facts, work=Work()) if same_run else facts


_ATTRIBUTE = "vidmetrics"


def attach(report: pytest.TestReport, facts: ItemFacts) -> None:
    """Put an item's facts on its report, in builtin values: xdist sends nothing else."""
    setattr(report, _ATTRIBUTE, facts.to_wire())


def facts_of(report: pytest.TestReport) -> ItemFacts | None:
    """Return what an item of this plugin attached to its report.

    ``None`` for other items, for workers that crashed, and for what somebody else put there.
    """
    tree = getattr(report, _ATTRIBUTE, None)
    if tree is None:
        return None
    try:
        return ItemFacts.from_wire(tree)
    except (TypeError, ValueError):
        return None
