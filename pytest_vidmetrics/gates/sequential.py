"""Deciding with fewer samples: a gate looks at them in a random order until it is sure.

What was decided follows from the scores and the order alone. So it is the same in every process, whoever computed the
scores and however many of them lie in the store: a run that was killed goes on to the same verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.core.scores import CorpusScore, Drawn
from pytest_vidmetrics.core.verdict import Status
from pytest_vidmetrics.core.wording import counted, number
from pytest_vidmetrics.engine.corpus import Scoring, clusters_of, score_corpus
from pytest_vidmetrics.engine.corpus_digests import as_listed
from pytest_vidmetrics.engine.reduce import chooses, takes_mean
from pytest_vidmetrics.engine.work import Outcome
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.digits import rounded
from pytest_vidmetrics.gates.margin import Margin, margin_of
from pytest_vidmetrics.gates.order import first, seed_of, shuffled
from pytest_vidmetrics.gates.stale import of_ids
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    from pytest_vidmetrics.stats.sequential import Decision

_AT_AN_END = 0.1
"""Share of recorded scores at 0 or 1 from which differences are not near normal: these scores are bet on."""

_EACH_LOOK = 1.1
"""How many samples a look has scored beyond the look before: a tenth more at most than the decision needed."""


@dataclass(frozen=True)
class Looked:
    """What a gate saw until it was sure, or until ``max_n``. ``observed`` and ``recorded`` are of the same samples."""

    observed: CorpusScore
    recorded: Baseline
    margin: Margin
    decision: Decision
    test: str
    seed: str
    listed: int
    planned: int

    @property
    def p(self) -> float:
        """The p-value against "not worse by more than the margin", right at whatever look the gate stopped."""
        return 1.0 / self.decision.evidence if self.decision.side == "above" else 1.0

    def status(self, harm: float) -> Status:
        """Return what was decided. Undecided is an ERROR: nothing that is not sure passes."""
        if self.decision.side == "undecided":
            return "ERROR"
        if self.decision.side == "above":
            return "REGRESSED"
        return "IMPROVED" if -harm > self.margin.value else "PASS"

    def text(self) -> str:
        """Return how far the gate looked, in words."""
        return f"{counted(self.observed.n, 'sample')} of {self.listed}"

    def note(self, policy: Policy) -> str:
        """Return what makes the decision repeatable: the order, the test and its evidence."""
        return (
            f"scored {self.text()}, in the random order of the seed {self.seed}: {self.test}, evidence "
            f"{number(self.decision.evidence, 3)} to 1 (sure from {1 / policy.alpha:g} to 1 on)"
        )

    def undecided(self, harm: float) -> str:
        """Return why nothing can be said, and what would help."""
        more = "raise max_n" if self.planned < self.listed else "add samples"
        return (
            f"undecided after {self.text()}: worse by {number(harm)} there, which is not surely on one side of the "
            f"margin of {number(self.margin.value)} ({self.margin.source}); {more}, or give the gate a margin that is "
            "further away"
        )


def refusal(is_mean: bool, chosen: bool) -> str:
    """Return why a metric's gate cannot decide sample by sample; empty when it can."""
    if is_mean and not chosen:
        return ""
    return (
        "decide = 'sequential' needs a metric whose score is the mean over its samples, and this one's is not: give "
        "its gate another rule"
    )


def look(policy: Policy, observed: CorpusScore, recorded: Baseline) -> Looked:
    """Return the decision about an observation: about those of its samples that the order comes to until it is sure.

    The margin is that of all samples that the gate may look at, whenever it stops. Clusters are looked at as wholes.
    """
    from pytest_vidmetrics.stats.sequential import FEWEST, betting, mixture_t

    seed, listed = recorded.order or seed_of(recorded.scores), _listed(recorded)
    groups = first(shuffled(seed, listed, observed.clusters), policy.max_n)
    planned = {id: recorded.samples[id] for group in groups for id in group if id in recorded.samples}
    # The margin reads how many samples there are, not their scores: planned ones without a score yet count too.
    margin = margin_of(policy, replace(observed, samples=planned), recorded)
    seen = [[id for id in group if id in planned and id in observed.samples] for group in groups]
    seen = [group for group in seen if group]
    sign, largest = (1.0 if observed.higher_is_better else -1.0), max(map(len, groups), default=1)
    # By group, how far its samples are beyond the margin, so that large groups count for more: the mean over the
    # Groups in the order of the seed, without the samples that have no score on both sides.
    # groups is above 0 where the mean over the samples is above the margin.
    beyond = [
        sum(sign * (recorded.samples[id] - observed.samples[id]) - margin.value for id in group) / largest
        for group in seen
    ]
    fewest = _groups_of(seen, observed.min_n if policy.min_n is None else policy.min_n)
    if _is_bet_on(observed, recorded, margin.value):
        # A group's sum is divided by the size of the largest one, so that every one lies within these bounds.
        low, high = -1.0 - margin.value, 1.0 - margin.value
        decision = betting(beyond, 0.0, alpha=policy.alpha, low=low, high=high, fewest=fewest)
        test = "betting on scores in [0, 1]"
    else:
        decision = mixture_t(beyond, 0.0, alpha=policy.alpha, fewest=max(FEWEST, fewest))
        test = "mixture t-test"
    ids = sorted(id for group in seen[: decision.used] for id in group)
    was = replace(recorded, scores=of_ids(recorded.scores, ids)) if ids else recorded
    now = of_ids(observed, ids) if ids else observed
    return Looked(now, was, margin, decision, test, seed, len(listed), len(planned))


def score_until_sure(
    metric: BaseMetric, corpus: Corpus, worker: Scoring, policy: Policy, recorded: Baseline, cluster: str | None
) -> CorpusScore:
    """Return the score of the samples that the gate needs, computing what the store does not hold.

    All of them where there is nothing to decide: the metric's score is not a mean, or other samples were recorded.
    What cannot be scored ends it.
    """
    from pytest_vidmetrics.stats.sequential import FEWEST

    corpus = corpus.of(metric.name)
    labels = clusters_of(corpus, cluster)
    samples = {sample.id: sample for sample in corpus.samples}
    if refusal(takes_mean(type(metric)), chooses(type(metric))) or samples.keys() != _listed(recorded):
        return score_corpus(metric, corpus, worker, cluster=cluster)
    seed = recorded.order or seed_of(recorded.scores)
    groups = first(shuffled(seed, samples, labels), policy.max_n)
    known: dict[str, Outcome] = {}
    # Nothing is decided before: these are loaded ahead of each other, as later ones are within a look.
    end = min(1 if metric.binary or _is_clumped(recorded) else FEWEST, len(groups))
    while True:
        ids = {id for group in groups[:end] for id in group}
        part = replace(corpus, samples=tuple(sample for sample in corpus.samples if sample.id in ids))
        # The part was scored without its labels.
        found = replace(score_corpus(metric, part, worker, known=known), clusters=labels)
        if found.problems or found.score is None:
            return found
        seen = look(policy, rounded(found), recorded)
        if seen.decision.side != "undecided" or end >= len(groups):
            kept = {id: found.samples[id] for id in seen.observed.samples}
            found = replace(of_ids(found, list(kept)), clusters=labels, drawn=Drawn(seed, len(samples)))
            return as_listed(found, metric, corpus, worker.digest)
        end = min(len(groups), max(end + 1, int(end * _EACH_LOOK)))


def _listed(recorded: Baseline) -> set[str]:
    """Return the samples that were listed when a baseline was recorded: those without a score too."""
    return set(recorded.scores.inputs or recorded.samples)


def _groups_of(groups: Sequence[list[str]], samples: int) -> int:
    """Return how many of the first groups hold at least so many samples."""
    held = 0
    for count, group in enumerate(groups, start=1):
        held += len(group)
        if held >= samples:
            return count
    # More than there are groups: too few samples never decide.
    return max(1, len(groups) + 1)


def _is_bet_on(observed: CorpusScore, recorded: Baseline, margin: float) -> bool:
    """Whether scores lie in [0, 1] and many of them at its ends, as the baseline alone says before a clip is seen.

    The mixture t-test is right for differences whose mean is near normal, which those of zeros and ones are not. Bets
    are right for all, and need many more clips where scores hardly differ.
    """
    # From a margin of 1 on nothing can be worse by more: there is nothing to bet on.
    if not margin < 1.0 or not all(0.0 <= value <= 1.0 for value in observed.samples.values()):
        return False
    return observed.binary or _is_clumped(recorded)


def _is_clumped(recorded: Baseline) -> bool:
    values = recorded.samples.values()
    ends = sum(value in (0.0, 1.0) for value in values)
    return all(0.0 <= value <= 1.0 for value in values) and ends >= _AT_AN_END * len(values)
