"""Ranking the methods of a case by one gate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import UnavailableError, VidmetricsError
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import printable
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.method_case import ROW, MethodClips
from pytest_vidmetrics.gates.rank import Features, check_clips_alike, features_of, rank, table
from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.plugin.command import shown_id
from pytest_vidmetrics.plugin.facts import facts_so_far, say
from pytest_vidmetrics.plugin.item import DataItem, RefusalError
from pytest_vidmetrics.plugin.precision import until_complete
from pytest_vidmetrics.plugin.session import RUN, Run


class RankItem(DataItem):
    """Compares the methods of a case by one gate, on the scores that the gates of the methods are judged by.

    It fails where they cannot be ranked: a method without all of its clips is not left out, and is not the last.
    """

    case: Case
    gate: MetricConfig
    methods: Sequence[MethodClips]

    @classmethod
    def make(
        cls, parent: pytest.Collector, case: Case, config: MetricConfig, methods: Sequence[MethodClips]
    ) -> RankItem:
        """Return the item named ``rank[gate]``."""
        item = cls.from_data(parent, f"rank[{config.gate}]", case.where.line)
        item.case, item.gate, item.methods = case, config, methods
        return item

    def execute(self) -> None:
        """Rank; fail with the reason where that cannot be done, skip what is not available and may be missing."""
        run = self.config.stash[RUN]
        if run.settings.part:
            k, n = run.settings.part
            pytest.skip(f"shard {k}/{n} only scores; rank with --vidmetrics-judge when all shards are done")
        before = run.work
        report = RankReport(shown_id(self).rpartition("::")[0], self.gate.gate)
        absent = ""
        try:
            report = self._report(run, report)
        except UnavailableError as error:
            report, absent = replace(report, reason=str(error)), str(error)
        except VidmetricsError as error:
            report = replace(report, reason=str(error))
        # Said before it fails or is skipped: the record has rankings that were refused too.
        self.say((), run.work - before, run.device)
        say(self, replace(facts_so_far(self), ranking=report))
        if absent and (run.settings.allow_unavailable or not self.gate.listed):
            pytest.skip(printable(f"UNAVAILABLE: {absent}"))
        if report.reason:
            raise RefusalError(f"{shown_id(self)}: the methods are not ranked: {report.reason}")

    def _report(self, run: Run, report: RankReport) -> RankReport:
        if len(self.methods) < len(self.case.methods):
            lost = sorted(self.case.methods.keys() - {clips.method.name for clips in self.methods})
            raise VidmetricsError(f"the samples of {', '.join(lost)} cannot be listed; its gates say why")

        def scored(device: str) -> dict[str, CorpusScore]:
            return {clips.method.name: self._score(run, device, clips) for clips in self.methods}

        def problems(scores: Mapping[str, CorpusScore]) -> int:
            return sum(len(score.problems) for score in scores.values())

        devices = run.devices_behind(self.gate, self.methods[0].case, lambda: None)
        # The device on which all methods are complete; else the one that lacks the least.
        device, scores = min(until_complete(devices, scored, problems), key=lambda one: problems(one[1]))
        metric = run.metric(self.gate, device)
        for score in scores.values():
            for problem in score.problems:
                if problem.status == "unavailable":
                    raise UnavailableError(problem.reason)
        features = None
        if isinstance(metric, SetMetric) and not any(score.problems for score in scores.values()):
            features = features_of(
                metric,
                {clips.method.name: clips.corpus for clips in self.methods},
                {clips.method.name: clips.places for clips in self.methods},
                run.worker,
            )
            report = self._with_guide(report, metric, scores, features)
        try:
            check_clips_alike({clips.method.name: clips.facts() for clips in self.methods})
            policy = self.gate.policy
            ranked = rank(
                self.gate.gate,
                scores,
                features,
                alpha=policy.alpha,
                min_n=policy.min_n,
                common=self.case.common,
            )
        except VidmetricsError as error:
            return replace(report, reason=str(error))
        return replace(report, rows=tuple(table(ranked)), result=ranked.result())

    def _score(self, run: Run, device: str, clips: MethodClips) -> CorpusScore:
        """Return a method's score with ids that all methods have in common: the row, and which of its seeds."""
        run.generate(clips)
        # Seeds of a row are not independent of each other: rows are.
        cluster = self.case.cluster or ROW
        metric = run.metric(self.gate, device)
        members = run.members(metric, clips.case, device)
        score = clips.explained(score_corpus(metric, clips.corpus, run.worker, cluster=cluster, members=members))
        places = clips.places
        return replace(
            score,
            samples={places[id]: value for id, value in score.samples.items()},
            clusters={places[id]: label for id, label in score.clusters.items()},
        )

    def _with_guide(
        self, report: RankReport, metric: SetMetric, scores: Mapping[str, CorpusScore], features: Features
    ) -> RankReport:
        """Add what the usage guide's result files hold, for the distance that they are about."""
        if metric.name != "common.fvd" or any(score.score is None for score in scores.values()):
            return report
        real = sum(map(len, features.reference.values()))
        guide: dict[str, dict[str, Any]] = {}
        for clips in self.methods:
            count = sum(map(len, features.methods[clips.method.name].values()))
            guide[clips.method.name] = {
                "fvd": scores[clips.method.name].score,
                "real": [real, features.dimension],
                "generated": [count, features.dimension],
                "directory": _folder(clips.corpus.samples, "video"),
            }
        return replace(report, guide=guide, reference=_folder(self.methods[0].corpus.references, "video"))


def _folder(samples: Sequence[Sample], key: str) -> str:
    """Return the folder that holds the files of all samples."""
    paths = [str(Path(sample.values[key]).parent) for sample in samples if isinstance(sample.values.get(key), str)]
    return os.path.commonpath(paths) if paths else ""
