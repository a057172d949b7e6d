"""``vidmetrics_baseline.check(name, score)``: the gate's rule and files for ordinary test functions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.lifecycle import Gate, Settled, Wish, root_of_baseline
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.gates.seat import Seat
from pytest_vidmetrics.plugin.command import command_for, node_names, shown_id
from pytest_vidmetrics.plugin.facts import Outcome, facts_so_far, say
from pytest_vidmetrics.plugin.failure import explain, properties
from pytest_vidmetrics.plugin.machine import environment
from pytest_vidmetrics.plugin.session import tells
from pytest_vidmetrics.plugin.settings import SETTINGS, Settings

_CLAIMED: pytest.StashKey[dict[str, str]] = pytest.StashKey()


@dataclass(frozen=True)
class BaselineChecks:
    """Checks of one test function. Baselines lie in ``<baseline dir>/<test file>/<test>/<name>.json``.

    ``<test>`` starts with the class, where there is one. Two checks that would share a file fail.
    """

    item: pytest.Item
    settings: Settings
    made: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, request: pytest.FixtureRequest) -> BaselineChecks:
        """Return the checks of the requesting test."""
        return cls(request.node, request.config.stash[SETTINGS])

    def check(
        self, name: str, score: float, *, higher_is_better: bool = True, abs: float = 0.0, rel: float = 0.0
    ) -> None:
        """Compare ``score`` with the recorded one; fail when it is worse by more than ``max(abs, rel*|baseline|)``.

        Fails without a baseline, for a number that is not finite, and for a name whose baseline file another check
        of the run has. With ``--update-baselines`` the score is recorded instead, when the test passes. Raises
        ``ValueError`` for a margin that means nothing.
        """
        config = MetricConfig(name, name, {}, Policy(abs=float(abs), rel=float(rel)))
        seat = self._claimed(name)
        environment_of = self._environment if self.settings.writes else {}
        wish: Wish = "update" if self.settings.update else "judge"
        observed = _observed(name, score, higher_is_better)
        settled = _of_one_number(Gate(config, seat, environment_of).settle(observed, wish), observed)
        self._say(name, seat, config, observed, settled)
        if not settled.verdict.passed:
            root = root_of_baseline(settled.verdict)
            command = command_for(self.item, update=settled.verdict.status != "ERROR" and root is None, root=root)
            verbose = self.item.config.option.verbose
            pytest.fail(explain(self._label(name), settled.verdict, command, verbose=verbose), pytrace=False)

    def _say(self, name: str, seat: Seat, config: MetricConfig, observed: CorpusScore, settled: Settled) -> None:
        """Add this check to what the test's report carries."""
        told = tells(self.item.config) and observed.score is not None
        outcome = Outcome(
            kind="check",
            gate=self._label(name),
            file=settled.key,
            cohort=settled.cohort,
            verdict=settled.verdict,
            owner=seat.owner,
            policy=config.policy,
            record=settled.record,
            scores=observed if told else None,
            recorded=settled.baseline.samples if told and settled.baseline is not None else {},
            noise=settled.baseline.noise if told and settled.baseline is not None else None,
        )
        before = facts_so_far(self.item)
        # A test that runs again checks again: what the run before said is dropped with its first check.
        earlier = [one for one in before.outcomes if one.kind == "gate" or len(self.made) > 1]
        say(self.item, replace(before, outcomes=(*earlier, outcome)))
        self.item.user_properties += properties(settled.verdict, f"vidmetrics.{name}")

    def _claimed(self, name: str) -> Seat:
        """Reserve the baseline file of a check, here and for the controller, which sees every worker's checks."""
        owner = Recorder.of("check", self.item.path, self.settings.baseline_dir, "::".join(node_names(self.item)), name)
        seat = Seat(self._folder, owner)
        try:
            file = self._folder.file(seat.keys()[0])
        except VidmetricsError as error:
            pytest.fail(f"the check {shown(name)} has no place for its baseline: {error}", pytrace=False)
        own = self._label(name)
        # Said before it comes to a verdict: the controller sees a clash also of checks that fail on the way.
        before = facts_so_far(self.item)
        say(self.item, replace(before, claims={**before.claims, own: seat.keys()[0]}))
        # Folded: some file systems do not tell capitals from small letters.
        other = self.item.config.stash.setdefault(_CLAIMED, {}).setdefault(seat.keys()[0].casefold(), own)
        if other != own:
            root = self.item.config.rootpath
            where = file.relative_to(root) if file.is_relative_to(root) else file
            pytest.fail(f"{other} and {own} have the same baseline file {where}: rename one", pytrace=False)
        if name in self.made:
            pytest.fail(f"{own} is checked twice in one test: give each check a name of its own", pytrace=False)
        self.made.add(name)
        return seat

    @cached_property
    def _folder(self) -> BaselineFolder:
        return BaselineFolder(self.settings.baseline_dir, self.item.config.rootpath)

    @property
    def _environment(self) -> dict[str, str]:
        return environment(self.item.config)

    def _label(self, name: str) -> str:
        return f"{shown_id(self.item)} {name!r}"


def _of_one_number(settled: Settled, observed: CorpusScore) -> Settled:
    """Return what was settled without words about clips: a check has none."""
    verdict = settled.verdict
    if observed.problems:
        verdict = replace(verdict, reason=observed.problems[0].reason, notes=())
    return replace(settled, verdict=replace(verdict, worst=()))


def _observed(name: str, score: Any, higher_is_better: bool) -> CorpusScore:
    """Return one number as a score. What is not a finite number has none."""
    try:
        number = float(score)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # torch raises the last for several elements
        number = math.nan
    finite = math.isfinite(number)
    problem = Problem("score", "failed", f"the score is {shown(score)}, not a finite number")
    identity: dict[str, Any] = {"name": name, "version": "1", "params": {}, "weights": {}}
    return CorpusScore(
        metric=identity,
        higher_is_better=higher_is_better,
        score=number if finite else None,
        samples={"score": number} if finite else {},
        paths={"score": ""},
        sample_ids=digest_json(["score"]),
        reference=None,
        problems=() if finite else (problem,),
    )
