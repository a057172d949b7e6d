"""Scoring some clips with every selected metric, into the store."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Sample
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.wording import printable
from pytest_vidmetrics.engine.faults import fault
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.method_case import MethodClips
from pytest_vidmetrics.plugin.item import OUTCOMES, DataItem, RefusalError
from pytest_vidmetrics.plugin.session import RUN, Run

if TYPE_CHECKING:
    from pytest_vidmetrics.metrics.base import BaseMetric


class ScoreItem(DataItem):
    """Scores some clips with every selected metric and stores the results."""

    work: Sequence[tuple[Sample, tuple[MetricConfig, ...]]]
    clips: MethodClips | None

    @classmethod
    def make(
        cls,
        parent: pytest.Collector,
        case: Case,
        name: str,
        work: Sequence[tuple[Sample, tuple[MetricConfig, ...]]],
        clips: MethodClips | None,
    ) -> ScoreItem:
        """Return the item named ``score[name]``; ``clips`` are those of the method that makes what is scored."""
        item = cls.from_data(parent, f"score[{name}]", case.where.line)
        item.work, item.clips = work, clips
        return item

    @functools.cached_property
    def steps(self) -> list[_Step]:
        """What is done one after the other: known before the item runs, so that it can be loaded ahead."""
        groups: list[list[tuple[Sample, tuple[MetricConfig, ...]]]] = []
        for sample, configs in self.work:
            # A reference directly behind its sample is loaded and freed with it.
            if groups and sample.role == "reference" and groups[-1][0][0].id == sample.id:
                groups[-1].append((sample, configs))
            else:
                groups.append([(sample, configs)])
        return [_Step.of(self.config.stash[RUN], group) for group in groups]

    def execute(self) -> None:
        """Score each clip; fail when one could not be read or a metric raised, skip when nothing applied."""
        run = self.config.stash[RUN]
        before = run.work
        failures: dict[tuple[str, str], list[str]] = {}
        absent: list[str] = []
        done = 0
        lost = self._lost(run)
        for step in self.steps:
            if gone := [sample.id for sample in step.samples if sample.id in lost and sample.role != "reference"]:
                failures[gone[0], lost[gone[0]]] = ["there is no clip"]
                continue
            for sample, results in zip(step.samples, step.run(run), strict=True):
                for result in results:
                    if result is None or result.score is not None or result.is_unanswered:
                        done += 1  # how many a gate may do without an answer about is for the gate to say
                    elif result.status == "failed":
                        failures.setdefault((sample.id, result.reason + _trace(result)), []).append(result.name)
                    else:
                        absent.append(f"{result.name}: {result.reason}")
        self.say((), run.work - before, run.device)
        if failures:
            # Metrics that fail for one reason are named together.
            lines = [f"{id}: {reason}\n  ({', '.join(names)})" for (id, reason), names in failures.items()]
            raise RefusalError("\n".join(lines))
        # Nothing applied: a skip, and the gates say why.
        if not done:
            pytest.skip(printable("; ".join(dict.fromkeys(absent))))

    def _lost(self, run: Run) -> dict[str, str]:
        """Return why samples of this item have no clip, after those that may be generated were."""
        if self.clips is None:
            return {}
        run.generate(self.clips, {sample.id for sample, _ in self.work if sample.role != "reference"})
        lost = self.clips.lost(sample for sample, _ in self.work if sample.role != "reference")
        # The log of a command stands where it was run, and here when that was another run.
        return {id: text.partition("\n")[0] for id, text in lost.items()} if run.settings.generate else lost


@dataclass(frozen=True)
class _Step:
    """A sample of a scoring item, with its paired reference: what is loaded and scored together."""

    samples: Sequence[Sample]
    job: Job
    problems: Sequence[Sequence[MetricResult]]
    """By sample, the results of metrics that cannot be made."""

    @classmethod
    def of(cls, run: Run, work: Sequence[tuple[Sample, tuple[MetricConfig, ...]]]) -> _Step:
        units, problems = [], []
        for sample, configs in work:
            metrics: list[BaseMetric] = []
            missing: list[MetricResult] = []
            for config in configs:
                try:
                    metrics.append(run.metric(config))
                # One metric that cannot be made does not keep others from scoring.
                except (Exception, *OUTCOMES) as error:
                    missing.append(fault(config.metric, error))
            units.append(Unit(sample.values, metrics))
            problems.append(missing)
        return cls([sample for sample, _ in work], Job(tuple(units)), problems)

    def run(self, run: Run) -> list[list[MetricResult | None]]:
        """Return each sample's results; ``None`` for the features of a set metric."""
        return [
            [*problems, *(None if outcome.rows is not None else outcome.result for outcome in outcomes)]
            for problems, outcomes in zip(self.problems, run.ahead.run(self.job), strict=True)
        ]


def _trace(result: MetricResult) -> str:
    trace = str(result.details.get("traceback", "")).rstrip()
    return "\n" + trace if trace else ""
