"""The test items: scoring one clip, judging one gate, reporting a manifest that cannot be used."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_vidmetrics.core.errors import BaselineError, UnavailableError, VidmetricsError
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.verdict import Status, Verdict
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.faults import fault
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.gates.baseline import Baseline, baseline_path, read_baseline
from pytest_vidmetrics.gates.case import Case, Manifest
from pytest_vidmetrics.gates.hooked import checked
from pytest_vidmetrics.gates.judge import blocked, judge, recorded
from pytest_vidmetrics.plugin.command import command_for, shown_id
from pytest_vidmetrics.plugin.session import RUN, Run, environment
from pytest_vidmetrics.plugin.terminal import explain

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_vidmetrics.engine.work import Counts
    from pytest_vidmetrics.metrics.base import BaseMetric

# What a metric or hook may raise that is no ``Exception``: pytest.skip() and pytest.importorskip(), pytest.fail() and
# pytest.xfail(), sys.exit(). Its gate would be skipped, or be missing from the table.
_OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception, SystemExit)


class RefusalError(Exception):
    """A red item whose text is meant for people: shown without a traceback."""


class _Item(pytest.Function):
    """A test function made from data: real fixtures, marks and selection, and messages instead of tracebacks."""

    line: int
    vidmetrics_facts: dict[str, Any]

    @classmethod
    def _from_data(cls, parent: pytest.Collector, name: str, line: int) -> Self:
        holder: list[Callable[[], None]] = []

        def test() -> None:
            holder[0]()

        item: Self = cls.from_parent(parent, name=name, callobj=test)
        holder.append(item.execute)
        item.line, item.vidmetrics_facts = line, {}
        return item

    def execute(self) -> None:
        """Do the item's work; raises :class:`RefusalError` to fail."""
        raise NotImplementedError

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the line of the case: pytest needs a whole number here for skip marks."""
        return self.path, self.line - 1, self.nodeid.split("::", maxsplit=1)[-1]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a refusal as its text and anything else as pytest does."""
        if isinstance(excinfo.value, (RefusalError, VidmetricsError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class BrokenItem(_Item):
    """Fails with the reason why a manifest or its samples cannot be used."""

    message: str

    @classmethod
    def make(cls, parent: pytest.Collector, name: str, message: str) -> BrokenItem:
        """Return the item; ``message`` starts with ``file:line``."""
        item = cls._from_data(parent, name, 1)
        item.message = message
        return item

    def execute(self) -> None:
        """Fail."""
        raise RefusalError(self.message)


class ScoreItem(_Item):
    """Scores some clips with every selected metric and stores the results."""

    work: Sequence[tuple[Sample, tuple[MetricConfig, ...]]]

    @classmethod
    def make(
        cls, parent: pytest.Collector, case: Case, name: str, work: Sequence[tuple[Sample, tuple[MetricConfig, ...]]]
    ) -> ScoreItem:
        """Return the item named ``score[name]``."""
        item = cls._from_data(parent, f"score[{name}]", case.where.line)
        item.work = work
        return item

    @functools.cached_property
    def steps(self) -> list[_Step]:
        """What is done one after the other: known before the item runs, so that it can be loaded ahead."""
        groups: list[list[tuple[Sample, tuple[MetricConfig, ...]]]] = []
        for sample, configs in self.work:
            if groups and sample.role == "reference" and groups[-1][0][0].id == sample.id:
                groups[-1].append((sample, configs))
            else:
                groups.append([(sample, configs)])
        return [_Step.of(self.config.stash[RUN], group) for group in groups]

    def execute(self) -> None:
        """Score each clip; fail when one could not be read or a metric raised, skip when nothing applied."""
        run = self.config.stash[RUN]
        before = asdict(run.worker.counts)
        failures: dict[tuple[str, str], list[str]] = {}
        absent: list[str] = []
        done = 0
        for step in self.steps:
            for sample, results in zip(step.samples, step.run(run), strict=True):
                for result in results:
                    if result is None or result.score is not None:
                        done += 1
                    elif result.status == "failed":
                        failures.setdefault((sample.id, result.reason + _trace(result)), []).append(result.name)
                    else:
                        absent.append(f"{result.name}: {result.reason}")
        self.vidmetrics_facts |= {"kind": "score", "work": _spent(before, run.worker.counts)}
        if failures:
            lines = [f"{id}: {reason}\n  ({', '.join(names)})" for (id, reason), names in failures.items()]
            raise RefusalError("\n".join(lines))
        if not done:
            pytest.skip("; ".join(dict.fromkeys(absent)))


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
                except (Exception, *_OUTCOMES) as error:
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


def _spent(before: dict[str, int], counts: Counts) -> dict[str, int]:
    return {key: value - before[key] for key, value in asdict(counts).items()}


class GateItem(_Item):
    """Judges one gate: pulls every sample's result, computes what is missing, compares with the baseline."""

    manifest: Manifest
    case: Case
    gate: MetricConfig
    corpus: Corpus
    problem: str

    @classmethod
    def make(
        cls,
        parent: pytest.Collector,
        manifest: Manifest,
        case: Case,
        config: MetricConfig,
        corpus: Corpus,
        problem: str,
    ) -> GateItem:
        """Return the item named after its gate."""
        item = cls._from_data(parent, config.gate, case.where.line)
        item.manifest, item.case, item.gate = manifest, case, config
        item.corpus, item.problem = corpus, problem
        item.extra_keyword_matches.update({config.metric, *config.metric.split(".")})
        return item

    def execute(self) -> None:
        """Reach a verdict, attach it to the report, and fail or skip by it."""
        run = self.config.stash[RUN]
        if run.settings.part and not self.problem:
            k, n = run.settings.part
            pytest.skip(f"shard {k}/{n} only scores; judge the gates with --vidmetrics-judge when all shards are done")
        verdict = self._verdict_or_error(run)
        self.vidmetrics_facts["verdict"] = verdict.to_json()
        for key in ("baseline", "now", "harm", "margin", "n"):
            self.user_properties.append((f"vidmetrics.{key}", getattr(verdict, key)))
        self.user_properties.append(("vidmetrics.interval", verdict.interval and list(verdict.interval)))
        self.user_properties.append(("vidmetrics.verdict", verdict.status))
        if verdict.status == "SKIPPED" or (verdict.status == "UNAVAILABLE" and run.settings.allow_unavailable):
            pytest.skip(f"{verdict.status}: {verdict.reason}")
        if not verdict.passed:
            text = explain(self._label(), verdict, self.next_command(verdict), verbose=self.config.option.verbose)
            raise RefusalError(text + str(verdict.details.get("traceback", "")))

    def _verdict_or_error(self, run: Run) -> Verdict:
        """Return a verdict whatever happens: a gate that raised would be missing from the table."""
        try:
            return self._verdict(run)
        except VidmetricsError as error:
            return Verdict("ERROR", str(error), metric=self.gate.metric)
        except (Exception, *_OUTCOMES) as error:
            trace = "\n\n" + "".join(traceback.format_exception(error)).rstrip()
            reason = f"{type(error).__name__}: {error}"
            return Verdict("ERROR", reason, metric=self.gate.metric, details={"traceback": trace})

    def _verdict(self, run: Run) -> Verdict:
        path, cohort = self._baseline_file(run)
        self.vidmetrics_facts |= {
            "kind": "gate",
            "gate": self._label(),
            "file": str(path),
            "cohort": cohort,
            "work": {},
        }
        if self.problem:
            return Verdict("ERROR", self.problem, metric=self.gate.metric)
        try:
            metric = run.metric(self.gate)
        except UnavailableError as error:
            status = "UNAVAILABLE" if self.gate.listed or path.exists() else "SKIPPED"
            return Verdict(status, str(error), metric=self.gate.metric)  # type: ignore[arg-type]
        before = asdict(run.worker.counts)
        observed = score_corpus(
            metric, self.corpus, run.worker, cluster=self.case.cluster, members=run.members(metric, self.case)
        )
        self.vidmetrics_facts["work"] = _spent(before, run.worker.counts)
        try:
            baseline = read_baseline(path)
        except BaselineError as error:
            if not run.settings.update:
                return Verdict("ERROR", str(error), metric=self.gate.metric, now=observed.score, n=observed.n)
            baseline = None
        if baseline is not None and (other := self._other_owner(baseline)):
            reason = f"the baseline {path} belongs to {other}: two manifests of one name share it; rename one of them"
            return Verdict("ERROR", reason, metric=self.gate.metric, now=observed.score, n=observed.n)
        if run.settings.report is not None and observed.score is not None:
            owner = {"manifest": self.manifest_name()}
            clusters = {"clusters": dict(observed.clusters)} if observed.clusters else {}
            self.vidmetrics_facts["observed"] = Baseline.of(observed, owner).to_json() | clusters
            self.vidmetrics_facts["policy"] = asdict(self.gate.policy)
        if run.settings.calibrate is not None:
            return self._calibrate(run, observed, baseline)
        if run.settings.update:
            return self._record(run, observed, baseline)
        return self._judge(observed, baseline)

    def _judge(self, observed: CorpusScore, baseline: Baseline | None) -> Verdict:
        usual = judge(self.gate, observed, baseline)
        if usual.status not in ("PASS", "IMPROVED", "REGRESSED"):
            return usual
        other = self.config.hook.pytest_vidmetrics_judge(
            config=self.config, gate=self.gate, observed=observed, baseline=baseline
        )
        return usual if other is None else checked(other, usual)

    def _record(self, run: Run, observed: CorpusScore, old: Baseline | None) -> Verdict:
        if verdict := blocked(self.gate, observed, has_baseline=old is not None):
            return verdict
        noise = old.noise if old is not None and old.metric == observed.metric else None
        new = Baseline.of(observed, self._environment(run), noise)
        verdict = recorded(observed, new, old)
        moved = old is not None and old.environment.get("manifest") != self.manifest_name()
        if moved or verdict.status != "UNCHANGED":
            self._write(run, new)
        return verdict

    def _write(self, run: Run, baseline: Baseline) -> None:
        """Ask the controller to write a baseline: that of the cohort, where one is named."""
        target = str(self._path(run, run.settings.cohort))
        cohort = run.settings.cohort or "common"
        records = {**self.vidmetrics_facts.get("records", {}), target: baseline.to_json()}
        self.vidmetrics_facts |= {"file": target, "cohort": cohort, "records": records}

    def _calibrate(self, run: Run, observed: CorpusScore, old: Baseline | None) -> Verdict:
        """Measure the noise of this gate and record it in its baseline."""
        if verdict := blocked(self.gate, observed, has_baseline=old is not None):
            return verdict
        if not run.settings.update:
            verdict = judge(self.gate, observed, old)
            if old is None or verdict.status in ("MISSING", "STALE"):
                return verdict
        noise = run.noise(self.gate, self.case, self.corpus)
        base = old if old is not None and not run.settings.update else Baseline.of(observed, self._environment(run))
        self._write(run, replace(base, noise=noise))
        reason = f"the noise is {noise.sigma:.6g} (standard deviation of {noise.runs} runs, {noise.kind})"
        status: Status = "RECORDED" if old is None else "UPDATED"
        return Verdict(status, reason, metric=self.gate.metric, baseline=base.score, now=observed.score, n=observed.n)

    def _environment(self, run: Run) -> dict[str, str]:
        return {**environment(self.config, run.settings), "manifest": self.manifest_name()}

    def manifest_name(self) -> str:
        """Return what a baseline says about where it comes from: the manifest's path from the baselines' folder."""
        folder = self.config.stash[RUN].settings.baseline_dir
        return os.path.relpath(self.manifest.path, folder).replace(os.sep, "/")

    def _other_owner(self, baseline: Baseline) -> str:
        """Return the other manifest of this name that recorded a baseline, if there still is one."""
        name = baseline.environment.get("manifest", "")
        stem = name.rpartition("/")[2].partition(".vidmetrics.")[0]
        if name == self.manifest_name() or stem != self.manifest.stem:
            return ""
        return name if (self.config.stash[RUN].settings.baseline_dir / name).is_file() else ""

    def baseline_file(self) -> str:
        """Return the path of the common baseline of this gate."""
        return str(self._path(self.config.stash[RUN], None))

    def _path(self, run: Run, cohort: str | None) -> Path:
        return baseline_path(run.settings.baseline_dir, self.manifest.stem, self.case.name, self.gate.gate, cohort)

    def _baseline_file(self, run: Run) -> tuple[Path, str]:
        """Return the cohort's own baseline where it exists, else the common one, and which of the two it is."""
        cohort = run.settings.cohort
        own = self._path(run, cohort)
        if cohort and own.exists():
            return own, cohort
        return self._path(run, None), "common"

    def _label(self) -> str:
        return shown_id(self)

    def next_command(self, verdict: Verdict) -> str:
        """Return the command that a reader would type after this verdict."""
        words = ("REGRESSED", "MISSING", "STALE", "IMPROVED")
        return command_for(self, metric=self.gate.metric, update=verdict.status in words)
