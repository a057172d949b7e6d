"""The life cycle of a baseline, the same for gates of manifests and for checks of test functions.

Find it, read it, judge by it; or, where the run records, make the next one. Nothing is written here: what is to be
written is returned, and the controller of the run writes it at the end, when nothing has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wording import counted, number
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.gates.baseline import Baseline, Noise
from pytest_vidmetrics.gates.cohort import text_of
from pytest_vidmetrics.gates.judge import blocked, judge, recorded
from pytest_vidmetrics.gates.margin import modes_text, widened
from pytest_vidmetrics.gates.seat import COMMON, Found, Seat
from pytest_vidmetrics.gates.stale import common, extended
from pytest_vidmetrics.gates.tables import with_table, without_table

Wish = Literal["judge", "update", "extend"]
_ROOT = "root of the baseline"
Overrule = Callable[[CorpusScore, Baseline | None, Verdict], Verdict]


@dataclass(frozen=True)
class Settled:
    """The verdict of a gate, the baseline file that it stands for, and what is to be written there, if anything."""

    verdict: Verdict
    key: str
    cohort: str
    record: Baseline | None = None
    baseline: Baseline | None = None


@dataclass(frozen=True)
class Gate:
    """One gate with its seat. ``environment`` is what a baseline that it records says about the machine."""

    config: MetricConfig
    seat: Seat
    environment: Mapping[str, str]
    store: Store | None = None
    """Where numbers by clip of very large corpora are kept, where a run names one."""

    def settle(
        self,
        observed: CorpusScore,
        wish: Wish,
        *,
        noise: Callable[[], Noise] | None = None,
        overrule: Overrule | None = None,
    ) -> Settled:
        """Reach a verdict. ``noise`` measures how much the score moves by itself, where the run is to record that.

        ``overrule`` may replace the verdict of a comparison that was made: a doubt cannot be overruled.
        """
        settled = self._settle(observed, wish, noise, overrule)
        if settled.record is None or self.store is None:
            return settled
        return replace(settled, record=without_table(settled.record, self.store))

    def _settle(
        self, observed: CorpusScore, wish: Wish, noise: Callable[[], Noise] | None, overrule: Overrule | None
    ) -> Settled:
        found = self._whole(self.seat.find())
        # A damaged baseline is there all the same: its gate is binding.
        there = found.baseline is not None or bool(found.fault)
        if verdict := blocked(self.config, observed, has_baseline=there):
            return Settled(verdict, found.key, found.cohort, baseline=found.baseline)
        # Only an update may replace what cannot be read.
        if found.fault and wish != "update":
            verdict = Verdict("ERROR", found.fault, metric=self.config.metric, now=observed.score, n=observed.n)
            return Settled(verdict, found.key, found.cohort)
        if wish == "update":
            return self._record(observed, found, noise)
        verdict = judge(self.config, observed, found.baseline, looked_for=self._looked_for())
        if verdict.status == "MISSING" and (above := self.seat.further_up()) is not None:
            verdict = _further_up(verdict, above)
        if wish == "extend" and verdict.status == "STALE" and found.baseline is not None:
            return self._extend(observed, found, found.baseline, verdict)
        # The noise of a score that cannot be compared says nothing about this baseline.
        if noise is not None and found.baseline is not None and verdict.status not in ("MISSING", "STALE", "ERROR"):
            return self._calibrate(found, found.baseline, noise(), observed)
        if overrule is not None and verdict.status in ("PASS", "IMPROVED", "REGRESSED"):
            verdict = overrule(observed, found.baseline, verdict)
        return Settled(verdict, found.key, found.cohort, baseline=found.baseline)

    def _whole(self, found: Found) -> Found:
        """Return what was found with the numbers by clip; that these cannot be had is a fault."""
        if found.baseline is None:
            return found
        try:
            return replace(
                found, baseline=with_table(found.baseline, self.store, str(self.seat.folder.file(found.key)))
            )
        except BaselineError as error:
            return Found(found.key, found.cohort, fault=str(error))

    def missing(self) -> bool:
        """Whether nothing lies where the baseline would."""
        found = self.seat.find()
        return found.baseline is None and not found.fault

    def _looked_for(self) -> str:
        file = str(self.seat.folder.file(self.seat.target(self.seat.cohort)))
        if self.seat.facts is None or not (others := self.seat.other_kinds()):
            return file
        return (
            f"{file}; this is a new kind of machine ({text_of(self.seat.facts)}), and the baselines of others "
            f"({'; '.join(others)}) do not judge it"
        )

    def _record(self, observed: CorpusScore, found: Found, noise: Callable[[], Noise] | None) -> Settled:
        """Record the observation, and keep the noise that was measured for the same metric."""
        target = self.seat.target(self.seat.cohort)
        old = found.baseline
        # Noise measured for the same metric stays true when its score changes.
        measured = old.noise if old is not None and old.scores.metric == observed.metric else None
        if noise is not None:
            measured = noise()
        policy = self.config.policy
        if old is not None and policy.reason is None and (text := widened(policy, observed, old)):
            reason = f'not recorded, the gate would see less: {text}; say why with reason = "..." in the manifest'
            verdict = Verdict("ERROR", reason, metric=self.config.metric, baseline=old.score, now=observed.score)
            return Settled(verdict, found.key, found.cohort, baseline=old)
        new = Baseline.of(observed, self.seat.owner, self.environment, measured, policy)
        verdict = recorded(observed, new, old)
        # A cohort that the common baseline judged gets one of its own, even with the same numbers.
        if verdict.status == "UNCHANGED" and target == found.key:
            return Settled(verdict, target, found.cohort, baseline=old)
        if noise is not None:
            verdict = replace(verdict, notes=(*verdict.notes, _noise_text(new)))
        return Settled(verdict, target, self.seat.cohort or COMMON, new, old)

    def _extend(self, observed: CorpusScore, found: Found, old: Baseline, stale: Verdict) -> Settled:
        """Add the new samples to a baseline and keep the recorded values, unless the common samples got worse."""
        both = common(old, observed)
        if both is None:
            return Settled(stale, found.key, found.cohort, baseline=old)
        verdict = judge(self.config, both.observed, both.recorded)
        if not verdict.passed:
            reason = f"not extended, the {counted(both.observed.n, 'sample')} of both sides say: {verdict.reason}"
            return Settled(replace(verdict, reason=reason), found.key, found.cohort, baseline=old)
        new = Baseline.of(extended(old, observed), self.seat.owner, self.environment, old.noise, self.config.policy)
        facts: dict[str, Any] = {"metric": self.config.metric, "baseline": old.score, "now": new.score, "n": new.n}
        text = f"the baseline is extended: {both.text()}"
        verdict = Verdict("UPDATED", text, notes=(text, *observed.remarks), **facts)
        return Settled(verdict, self.seat.target(self.seat.cohort), self.seat.cohort or COMMON, new, old)

    def _calibrate(self, found: Found, old: Baseline, noise: Noise, observed: CorpusScore) -> Settled:
        """Record the noise beside the score, which stays."""
        new = Baseline.of(
            replace(old.scores, noise_floor=observed.noise_floor), self.seat.owner, old.environment, noise, old.policy
        )
        # `of` rounds the noise by the metric's floor, and the score too: that one stays to the last digit.
        new = replace(new, scores=old.scores, interval=old.interval, order=old.order)
        verdict = Verdict(
            "CALIBRATED",
            f"the score of the baseline stays, its noise is recorded: {_noise_text(new)}",
            metric=self.config.metric,
            baseline=old.score,
            now=observed.score,
            n=observed.n,
            notes=(_noise_text(new),),
        )
        return Settled(verdict, self.seat.target(self.seat.cohort), self.seat.cohort or COMMON, new, old)


def root_of_baseline(verdict: Verdict) -> str | None:
    """Return the root with which a run would find the baseline of a gate that is MISSING, where one lies further up."""
    return verdict.details.get(_ROOT) if verdict.status == "MISSING" else None


def _further_up(missing: Verdict, above: Seat) -> Verdict:
    """Return the verdict with where the baseline does lie."""
    root, file = str(above.folder.root), above.folder.file(above.find().key)
    reason = f"{missing.reason}; it lies further up, in {file}, which pytest finds with --rootdir={root}"
    return replace(missing, reason=reason, details={**missing.details, _ROOT: root})


def _noise_text(baseline: Baseline) -> str:
    noise = baseline.noise
    assert noise is not None, "only for baselines whose noise was measured"
    sigma = baseline.policy.sigma if baseline.policy is not None else Policy().sigma
    text = (
        f"noise {number(noise.sigma)} (standard deviation of {noise.runs} runs, {noise.kind}), "
        f"so that the margin is at least {number(sigma * noise.sigma)} ({sigma:g} sigma)"
    )
    return f"{text}; {modes_text(noise.modes, noise.facts)}" if noise.modes is not None else text
