"""Manifests to pytest nodes: file, case, items. Reads text and lists folders; opens no clip, imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Corpus, Sample, shown_id
from pytest_vidmetrics.gates.case import Case, Manifest
from pytest_vidmetrics.gates.listing import check_corpus, resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.gates.selection import gates_of
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.composite import CompositeMetric, absent_text, present
from pytest_vidmetrics.plugin.gate_item import GateItem
from pytest_vidmetrics.plugin.item import BrokenItem
from pytest_vidmetrics.plugin.score_item import ScoreItem
from pytest_vidmetrics.plugin.session import RUN, Run


class ManifestFile(pytest.Module):
    """A manifest. A ``Module`` without a Python object, so that module-scoped fixtures find their scope."""

    obj = None

    def collect(self) -> Iterable[Any]:
        """Yield a node per case, or one failing item that says what is wrong with the file."""
        run = self.config.stash[RUN]
        try:
            manifest = load_manifest(self.path)
        except VidmetricsError as error:
            yield self._broken(run, str(error))
            return
        if other := run.claim(manifest):
            yield self._broken(run, f"{self.path}:1: {other} has the same place for its baselines; rename one")
            return
        for case in manifest.cases:
            yield CaseNode.make(self, manifest, case)

    def _broken(self, run: Run, message: str) -> BrokenItem:
        item = BrokenItem.make(self, "manifest", message)
        run.kept.append(item)
        return item


class CaseNode(pytest.Collector):
    """One case of a manifest."""

    manifest: Manifest
    case: Case

    @classmethod
    def make(cls, parent: ManifestFile, manifest: Manifest, case: Case) -> CaseNode:
        """Return the node of a case, carrying the marks and fixtures that the case names."""
        node: CaseNode = cls.from_parent(parent, name=case.name)
        node.manifest, node.case = manifest, case
        for mark in case.marks:
            node.add_marker(getattr(pytest.mark, mark))
        if case.fixtures:
            node.add_marker(pytest.mark.usefixtures(*case.fixtures))
        return node

    def collect(self) -> Iterable[pytest.Item]:
        """Yield scoring items, then gates. A case without usable samples yields gates that say so."""
        run = self.config.stash[RUN]
        gates = gates_of(self.case, run.selection)
        try:
            corpus, problem = self._corpus(run), ""
        except VidmetricsError as error:
            corpus, problem = Corpus(()), str(error)
        except (Exception, pytest.skip.Exception, pytest.fail.Exception, SystemExit) as error:
            # A hook of the user: its fault is the case's, and other tests go on.
            corpus, problem = Corpus(()), f"listing the samples failed: {type(error).__name__}: {error}"
        yield from self._scores(run, corpus, gates)
        for config in gates:
            yield GateItem.make(self, self.manifest, self.case, config, corpus, problem)

    def _corpus(self, run: Run) -> Corpus:
        supplied = self.config.hook.pytest_vidmetrics_load_samples(config=self.config, case=self.case)
        if supplied is not None:
            return check_corpus(supplied, self.case.where)
        return resolve_samples(self.case, run.settings.checkpoint)

    def _scores(self, run: Run, corpus: Corpus, gates: tuple[MetricConfig, ...]) -> Iterator[pytest.Item]:
        if not gates or run.settings.judge:
            return
        gates = self._with_parts(gates)
        sets = tuple(gate for gate in gates if registry.metric_class(gate.metric).is_set_metric)
        units = [(sample, tuple(g for g in gates if sample.concerns(g.metric))) for sample in corpus.samples]
        units = [unit for unit in units if unit[1]]
        if sets and self.case.pair == "set":
            units += [(sample, sets) for sample in corpus.references]
        paired = {ref.id: ref for ref in corpus.references} if sets and self.case.pair != "set" else {}
        size, part = self.case.clips_per_item, run.settings.part
        chunks = [units[start : start + size] for start in range(0, len(units), size)]
        for number, chunk in enumerate(chunks):
            if part is None or number % part[1] == part[0] - 1:
                work = [part for unit in chunk for part in _with_reference(unit, paired, sets)]
                yield ScoreItem.make(self, self.case, _chunk_name(chunk), work)

    def _with_parts(self, gates: tuple[MetricConfig, ...]) -> tuple[MetricConfig, ...]:
        """Return the gates that clips are scored for: composite ones are replaced by their parts."""
        found: dict[tuple[str, str], MetricConfig] = {}
        for gate in gates:
            cls = registry.metric_class(gate.metric)
            parts = [gate]
            if issubclass(cls, CompositeMetric):  # nothing is scored for a sum that this version cannot give
                parts = [] if absent_text(cls) else [self.case.part(name) for name in present(cls)]
            for one in parts:
                found.setdefault((one.metric, repr(sorted(one.params.items()))), one)
        return tuple(found.values())


Unit = tuple[Sample, tuple[MetricConfig, ...]]


def _with_reference(unit: Unit, paired: dict[str, Sample], sets: tuple[MetricConfig, ...]) -> list[Unit]:
    reference = paired.get(unit[0].id)
    return [unit, (reference, sets)] if reference is not None else [unit]


def _chunk_name(chunk: list[Unit]) -> str:
    ids = [shown_id(sample.id) for sample, _ in chunk]
    names = [f"reference.{id}" if unit[0].role == "reference" else id for id, unit in zip(ids, chunk, strict=True)]
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"


def relative(path: Path, root: Path) -> str:
    """Return a path as it is written in messages: below the root when it lies there."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
