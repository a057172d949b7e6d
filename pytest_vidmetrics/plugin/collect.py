"""Manifests to pytest nodes: file, case, items. Reads text and lists folders; opens no clip, imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.gates.case import Case, Manifest
from pytest_vidmetrics.gates.listing import check_corpus, resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.gates.method import Method
from pytest_vidmetrics.gates.method_case import MethodClips, method_case
from pytest_vidmetrics.gates.selection import gates_of
from pytest_vidmetrics.plugin.chunks import score_items
from pytest_vidmetrics.plugin.gate_item import GateItem
from pytest_vidmetrics.plugin.generate_item import GenerateItem
from pytest_vidmetrics.plugin.item import BrokenItem
from pytest_vidmetrics.plugin.rank_item import RankItem
from pytest_vidmetrics.plugin.session import RUN, Run


class ManifestFile(pytest.Module):
    """A manifest. A ``Module`` without a Python object, so that module-scoped fixtures find their scope."""

    # `Module.obj` would import the manifest as Python.
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

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Yield scoring items, then gates: for each method, where there are some, and then the rankings.

        A case without usable samples yields gates that say so.
        """
        run = self.config.stash[RUN]
        gates = gates_of(self.case, run.selection)
        try:
            corpus, problem = self._corpus(run), ""
        except VidmetricsError as error:
            corpus, problem = Corpus(()), str(error)
        except (Exception, pytest.skip.Exception, pytest.fail.Exception, SystemExit) as error:
            # A hook of the user: its fault is the case's, and other tests go on.
            corpus, problem = Corpus(()), f"listing the samples failed: {type(error).__name__}: {error}"
        # Methods have gates of their own; the case itself has none.
        if self.case.methods:
            yield from self._methods(run, corpus, problem)
            return
        if not run.settings.judge:
            yield from score_items(self, run, self.case, corpus, gates)
        for config in gates:
            yield GateItem.make(self, self.manifest, self.case, config, corpus, problem)

    def _methods(self, run: Run, rows: Corpus, problem: str) -> Iterator[pytest.Item | pytest.Collector]:
        nodes = [MethodNode.make(self, method, rows, problem) for method in self.case.methods.values()]
        yield from nodes
        # A ranking of one method says nothing.
        if len(nodes) > 1:
            for config in gates_of(self.case, run.selection):
                yield RankItem.make(self, self.case, config, [node.clips for node in nodes if node.clips])

    def _corpus(self, run: Run) -> Corpus:
        supplied = self.config.hook.pytest_vidmetrics_load_samples(config=self.config, case=self.case)
        if supplied is not None:
            return check_corpus(supplied, self.case.where)
        return resolve_samples(self.case, run.settings.checkpoint)


class MethodNode(pytest.Collector):
    """One method of a case: generating, scoring and judging its clips."""

    manifest: Manifest
    case: Case
    clips: MethodClips | None
    rows: Corpus
    problem: str

    @classmethod
    def make(cls, parent: CaseNode, method: Method, rows: Corpus, problem: str) -> MethodNode:
        """Return the node of a method; ``rows`` are the samples of its case, ``problem`` why there are none."""
        run = parent.config.stash[RUN]
        node: MethodNode = cls.from_parent(parent, name=method.name)
        node.manifest, node.case, node.problem = parent.manifest, method_case(parent.case, method), problem
        node.clips, node.rows = None, rows
        if not problem:
            try:
                gates, checkpoint = gates_of(node.case, run.selection), run.settings.checkpoint
                node.clips = MethodClips.of(parent.case, method, rows, run.generations, checkpoint, gates)
            except VidmetricsError as error:
                node.problem = str(error)
        return node

    def collect(self) -> Iterable[pytest.Item]:
        """Yield what generates (when asked for), what scores, and the gates."""
        run = self.config.stash[RUN]
        gates, clips = gates_of(self.case, run.selection), self.clips
        if clips is not None and gates and not run.settings.judge:
            if run.settings.generate and not clips.method.is_ready and not clips.method.in_process:
                part = run.settings.part
                for shard in range(len(clips.shards)):
                    # By number, as scoring items are: the same part scores what it makes.
                    if part is None or shard % part[1] == part[0] - 1:
                        yield GenerateItem.make(self, clips, shard)
            yield from score_items(self, run, self.case, clips.corpus, gates, clips)
        for config in gates:
            corpus = clips.corpus if clips is not None else Corpus(())
            yield GateItem.make(self, self.manifest, self.case, config, corpus, self.problem, clips)


def relative(path: Path, root: Path) -> str:
    """Return a path as it is written in messages: below the root when it lies there."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
