"""``vidmetrics_baseline.check(name, score)``: the gate's rule and files for ordinary test functions."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.samples import clean_id
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline, baseline_path, read_baseline
from pytest_vidmetrics.gates.judge import judge, recorded
from pytest_vidmetrics.plugin.command import command_for, shown_id
from pytest_vidmetrics.plugin.options import SETTINGS, Settings
from pytest_vidmetrics.plugin.terminal import explain

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

    def path(self, name: str) -> Path:
        """Return the baseline file of one check."""
        test = self.item.nodeid.partition("::")[2] or self.item.name
        return baseline_path(self.settings.baseline_dir, self.item.path.stem, clean_id(test), clean_id(name))

    def check(
        self, name: str, score: float, *, higher_is_better: bool = True, abs: float = 0.0, rel: float = 0.0
    ) -> None:
        """Compare ``score`` with the recorded one; fail when it is worse by more than ``max(abs, rel*|baseline|)``.

        Fails without a baseline, for a number that is not finite, and for a name whose baseline file another check
        of the run has. With ``--update-baselines`` the score is
        recorded instead, when the test passes.
        """
        self._claim(name)
        config = MetricConfig(name, name, {}, Policy(abs=abs, rel=rel))
        observed = _observed(name, float(score), higher_is_better)
        try:
            old = read_baseline(self.path(name))
        except BaselineError as error:
            if not self.settings.update:
                pytest.fail(str(error), pytrace=False)
            old = None
        if self.settings.update and observed.score is not None:
            self._record(name, observed, old)
            return
        if old is not None and (other := self._other_owner(name, old)):
            pytest.fail(
                f"the baseline {self.path(name)} was recorded by {other}: rename one of them, or record it again "
                "with --update-baselines",
                pytrace=False,
            )
        verdict = judge(config, observed, old)
        if not verdict.passed:
            command = command_for(self.item, update=True)
            pytest.fail(explain(f"{shown_id(self.item)} {name}", verdict, command), pytrace=False)

    def _claim(self, name: str) -> None:
        """Reserve the baseline file of a check, here and for the controller, which sees every worker's checks."""
        root = self.item.config.rootpath
        path, own = str(self.path(name)), self._own(name)
        self._facts()["claims"][path] = own
        other = self.item.config.stash.setdefault(_CLAIMED, {}).setdefault(path.casefold(), own)
        if other != own:
            file = os.path.relpath(path, root)
            pytest.fail(f"{other} and {own} have the same baseline file {file}: rename one", pytrace=False)
        if name in self.made:
            pytest.fail(f"{own} is checked twice in one test: give each check a name of its own", pytrace=False)
        self.made.add(name)

    def _own(self, name: str) -> str:
        return f"{shown_id(self.item)} {name!r}"

    def _other_owner(self, name: str, baseline: Baseline) -> str:
        """Return the other check that recorded a baseline, if its file is still there: it may run elsewhere."""
        recorded_by = baseline.environment.get("check", "")
        there = (self.item.config.rootpath / recorded_by.partition("::")[0]).is_file()
        return recorded_by if there and recorded_by != self._own(name) else ""

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self.item.__dict__.setdefault("vidmetrics_facts", {})
        facts.setdefault("kind", "check")
        for key in ("records", "claims"):
            facts.setdefault(key, {})
        return facts

    def _record(self, name: str, observed: CorpusScore, old: Baseline | None) -> None:
        new = Baseline.of(observed, {"check": self._own(name)})
        moved = old is not None and old.environment.get("check") != self._own(name)
        if moved or recorded(observed, new, old).status != "UNCHANGED":
            self._facts()["records"][str(self.path(name))] = new.to_json()


def _observed(name: str, score: float, higher_is_better: bool) -> CorpusScore:
    import math

    finite = math.isfinite(score)
    identity: dict[str, Any] = {"name": name, "version": "1", "params": {}, "weights": {}}
    return CorpusScore(
        metric=identity,
        higher_is_better=higher_is_better,
        score=score if finite else None,
        samples={"score": score} if finite else {},
        paths={"score": ""},
        sample_ids=digest_json(["score"]),
        reference=None,
    )
