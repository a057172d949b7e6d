"""Judging one gate of a case against its baseline."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from pytest_vidmetrics.core.errors import UnavailableError, VidmetricsError
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import PATH_KEYS
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wording import printable
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.gates.baseline import Baseline, Noise
from pytest_vidmetrics.gates.case import Case, Manifest
from pytest_vidmetrics.gates.cohort import name_of
from pytest_vidmetrics.gates.hooked import checked
from pytest_vidmetrics.gates.lifecycle import Gate, Settled, root_of_baseline
from pytest_vidmetrics.gates.method_case import MethodClips
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.gates.seat import Seat
from pytest_vidmetrics.gates.sequential import score_until_sure
from pytest_vidmetrics.plugin.command import command_for, shown_id
from pytest_vidmetrics.plugin.facts import Outcome
from pytest_vidmetrics.plugin.failure import explain, properties
from pytest_vidmetrics.plugin.item import OUTCOMES, DataItem, RefusalError
from pytest_vidmetrics.plugin.precision import most_complete
from pytest_vidmetrics.plugin.session import RUN, Run, tells

_RECORDS = ("REGRESSED", "MISSING", "STALE", "IMPROVED")


class GateItem(DataItem):
    """Judges one gate: pulls every sample's result, computes what is missing, compares with the baseline."""

    manifest: Manifest
    case: Case
    gate: MetricConfig
    corpus: Corpus
    problem: str
    clips: MethodClips | None
    observed: CorpusScore | None

    @classmethod
    def make(
        cls,
        parent: pytest.Collector,
        manifest: Manifest,
        case: Case,
        config: MetricConfig,
        corpus: Corpus,
        problem: str,
        clips: MethodClips | None = None,
    ) -> GateItem:
        """Return the item named after its gate; ``problem`` is why the case has no samples, if it has none.

        ``clips`` are those of the method whose gate it is.
        """
        item = cls.from_data(parent, config.gate, case.where.line)
        item.manifest, item.case, item.gate = manifest, case, config
        item.corpus, item.problem, item.clips, item.observed = corpus, problem, clips, None
        item.extra_keyword_matches.update({config.metric, *config.metric.split(".")})
        return item

    def execute(self) -> None:
        """Reach a verdict, attach it to the report, and fail or skip by it."""
        run = self.config.stash[RUN]
        if run.settings.part and not self.problem:
            k, n = run.settings.part
            pytest.skip(f"shard {k}/{n} only scores; judge the gates with --vidmetrics-judge when all shards are done")
        # The difference is this gate's share in the work of the process.
        before = run.work
        settled = self._settled(run)
        verdict = settled.verdict
        self.say((self._outcome(run, settled),), run.work - before, run.device)
        # For JUnit and other reporters, of gates that pass too.
        self.user_properties += properties(verdict)
        # Skipped after its facts were said: the table and the record name it.
        if verdict.status == "SKIPPED" or (verdict.status == "UNAVAILABLE" and run.settings.allow_unavailable):
            pytest.skip(printable(f"{verdict.status}: {verdict.reason}"))
        if not verdict.passed:
            root = root_of_baseline(verdict)
            update = verdict.status in _RECORDS and root is None
            command = command_for(self, metric=self.gate.metric, update=update, root=root)
            text = explain(shown_id(self), verdict, command, verbose=self.config.option.verbose)
            raise RefusalError(text + str(verdict.details.get("traceback", "")))

    def _outcome(self, run: Run, settled: Settled) -> Outcome:
        told = tells(self.config) and self.observed is not None and self.observed.score is not None
        return Outcome(
            kind="gate",
            gate=shown_id(self),
            file=settled.key,
            cohort=settled.cohort,
            verdict=settled.verdict,
            owner=self.seat.owner,
            policy=self.gate.policy,
            record=settled.record,
            scores=self.observed if told else None,
            recorded=settled.baseline.samples if told and settled.baseline is not None else {},
            noise=settled.baseline.noise if told and settled.baseline is not None else None,
            clips=_clips(self.corpus) if told else {},
        )

    def _settled(self, run: Run) -> Settled:
        """Return a verdict whatever happens: a gate that raised would be missing from the table."""
        try:
            return self._settle(run)
        except VidmetricsError as error:
            return self._refused(Verdict("ERROR", str(error), metric=self.gate.metric))
        except (Exception, *OUTCOMES) as error:
            # `pytest.exit()` ends the run, and is not the gate's.
            if isinstance(error, pytest.exit.Exception):
                raise
            trace = "\n\n" + "".join(traceback.format_exception(error)).rstrip()
            reason = f"{type(error).__name__}: {error}"
            return self._refused(Verdict("ERROR", reason, metric=self.gate.metric, details={"traceback": trace}))

    def _refused(self, verdict: Verdict) -> Settled:
        found = self.seat.find()
        return Settled(verdict, found.key, found.cohort)

    def _settle(self, run: Run) -> Settled:
        if self.problem:
            return self._refused(Verdict("ERROR", self.problem, metric=self.gate.metric))
        seat, facts = self.seat, run.cohort_facts(self.case, self.corpus)
        if facts is not None:
            seat = replace(seat, cohort=name_of(facts), facts=facts)
        gate = Gate(self.gate, seat, {**run.environment, **(facts or {})}, run.shared_store)
        try:
            devices = run.devices_behind(self.gate, self.case, lambda: seat.find().baseline)
            run.metric(self.gate, devices[0])
        # A metric that only a group brought in may lack its weights, unless it has a baseline.
        except UnavailableError as error:
            optional = not self.gate.listed and gate.missing()
            return self._refused(Verdict("SKIPPED" if optional else "UNAVAILABLE", str(error), metric=self.gate.metric))
        if self.clips is not None:
            run.generate(self.clips)
        # Read before scoring: it decides when enough clips were looked at.
        recorded = seat.find().baseline if run.looks_one_by_one(self.gate, self.case, self.clips) else None
        self.observed = most_complete(devices, lambda device: self._scored(run, recorded, device))
        return gate.settle(self.observed, run.wish, noise=self._noise(run), overrule=self._overruled)

    def _scored(self, run: Run, recorded: Baseline | None, device: str) -> CorpusScore:
        """Return the score of the clips as a device gives it: one after the other against a baseline, or of all."""
        metric, cluster = run.metric(self.gate, device), self.case.cluster
        if recorded is not None and recorded.table is None:
            return score_until_sure(metric, self.corpus, run.worker, self.gate.policy, recorded, cluster)
        members = run.members(metric, self.case, device)
        found = score_corpus(metric, self.corpus, run.worker, cluster=cluster, members=members)
        return found if self.clips is None else self.clips.explained(found)

    def _noise(self, run: Run) -> Callable[[], Noise] | None:
        if run.settings.calibrate is None:
            return None
        if self.clips is not None and isinstance(run.settings.calibrate, tuple):
            raise VidmetricsError("a method has seeds, not checkpoints: give --vidmetrics-calibrate a number")
        return lambda: run.noise(self.gate, self.case, self.corpus)

    def _overruled(self, observed: CorpusScore, baseline: Baseline | None, usual: Verdict) -> Verdict:
        """Return the verdict of a hook of the user, where there is one."""
        other = self.config.hook.pytest_vidmetrics_judge(
            config=self.config, gate=self.gate, observed=observed, baseline=baseline
        )
        return usual if other is None else checked(other, usual)

    @property
    def seat(self) -> Seat:
        """Where this gate's baseline lies. Known when all manifests are collected."""
        run = self.config.stash[RUN]
        owner = Recorder.of("manifest", self.manifest.path, run.folder.path, self.case.name, self.gate.gate)
        return Seat(run.folder, owner, run.settings.cohort, run.shares_its_name(self.manifest))


def _clips(corpus: Corpus) -> Mapping[str, Mapping[str, str]]:
    """Return what a report shows of each clip: its files and its prompt."""
    keys = (*PATH_KEYS, "text_prompt")
    return {
        sample.id: {key: text for key in keys if isinstance(text := sample.values.get(key), str)}
        for sample in corpus.samples
    }
