"""What one process of a run shares between its items: settings, the worker, metrics that are set up."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Container
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.errors import StoreError, UnavailableError, VidmetricsError
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.precision import in_effect
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.work import Work
from pytest_vidmetrics.engine.ahead import Lookahead
from pytest_vidmetrics.engine.devices import described
from pytest_vidmetrics.engine.digest_index import DigestIndex
from pytest_vidmetrics.engine.object_store import open_store
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.gates.baseline import Baseline, Noise
from pytest_vidmetrics.gates.calibrate import generation_noise, scoring_noise
from pytest_vidmetrics.gates.case import Case, Manifest
from pytest_vidmetrics.gates.cohort import chosen, facts_beside
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.generation import Generated, Generations, Made
from pytest_vidmetrics.gates.lifecycle import Wish
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.method_case import MethodClips
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.plugin.gpus import device_of
from pytest_vidmetrics.plugin.machine import environment
from pytest_vidmetrics.plugin.precision import devices_behind, likely_device
from pytest_vidmetrics.plugin.settings import SETTINGS, Settings
from pytest_vidmetrics.plugin.writable import store_of

if TYPE_CHECKING:
    from _pytest.config import Config

    from pytest_vidmetrics.metrics.base import BaseMetric


@dataclass
class Run:
    """The state of one process. Made when the first manifest is collected."""

    config: Config
    settings: Settings
    kept: list[pytest.Item] = field(default_factory=list)
    device: str = ""
    """What computed in this process, and how exactly, once something was: see
    :func:`~pytest_vidmetrics.engine.devices.described`."""
    _homes: dict[str, Path] = field(default_factory=dict)
    _names: dict[str, set[Path]] = field(default_factory=dict)
    _metrics: dict[tuple[str, str, str], BaseMetric] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)
    _worker: EvalWorker | None = None

    @property
    def selection(self) -> tuple[str, ...]:
        """What ``--vidmetrics`` asks for; everything when a manifest was named without it."""
        return self.settings.selection or ("all",)

    @property
    def wish(self) -> Wish:
        """What this run does with baselines."""
        return "update" if self.settings.update else "extend" if self.settings.extend else "judge"

    @cached_property
    def folder(self) -> BaselineFolder:
        """The folder of the baselines."""
        return BaselineFolder(self.settings.baseline_dir, self.config.rootpath)

    @cached_property
    def environment(self) -> dict[str, str]:
        """What a baseline says about the machine that records it."""
        return environment(self.config)

    @property
    def work(self) -> Work:
        """What this process did so far."""
        scored = Work(**asdict(self._worker.counts)) if self._worker is not None else Work()
        # Without making it: a run that generates nothing has none.
        made = vars(self)["generations"].made if "generations" in vars(self) else Made()
        return replace(scored, generated=made.clips, commands=made.commands)

    @cached_property
    def generations(self) -> Generations:
        """The clips that methods generated."""
        return generations_of(self.config)

    def generate(self, clips: MethodClips, ids: Container[str] | None = None) -> None:
        """Make the clips of some samples, or of all, where this run may and they are not there."""
        if not self.settings.generate or clips.method.is_ready:
            return
        wanted = [i for i, sample in enumerate(clips.corpus.samples) if ids is None or sample.id in ids]
        # Each shard once, in the order of the clips.
        for shard in dict.fromkeys(map(clips.shard_of, wanted)):
            self.make(clips, shard)

    def make(self, clips: MethodClips, shard: int) -> list[Generated]:
        """Make the clips of a shard that are not there. Raises ``VidmetricsError`` when they could not be scored."""
        # Only where something would be made: a run that finds all clips needs no rehearsal.
        if not clips.method.in_process and self.generations.wanted(clips.shards[shard]):
            if clips.case.name not in self._refused:
                self._refused[clips.case.name] = _refusal(self, clips)
            if refusal := self._refused[clips.case.name]:
                raise VidmetricsError(refusal)
        return clips.ensure(shard)

    @cached_property
    def store(self) -> Store:
        """The result store."""
        return open_store(store_of(self.settings))

    @property
    def shared_store(self) -> Store | None:
        """The result store where the run names one: what others find there."""
        return self.store if self.settings.store is not None else None

    @cached_property
    def digests(self) -> DigestIndex:
        """The hashes of the files of this run: what scores reads them all, what only judges trusts the store's."""
        return DigestIndex(self.store, trusted=self.settings.judge, verify=self.settings.verify_content)

    @property
    def worker(self) -> EvalWorker:
        """What scores samples in this process."""
        if self._worker is None:
            self._worker = EvalWorker(
                self.store,
                self._device,
                compute=not self.settings.judge,
                precision=self.settings.precision,
                digest=self.digests,
            )
        return self._worker

    @property
    def has_lost_its_device(self) -> bool:
        """Whether this process can compute nothing more."""
        return self._worker is not None and self._worker.is_lost

    @cached_property
    def ahead(self) -> Lookahead:
        """What runs scoring jobs, loading the next ones meanwhile."""
        return Lookahead(self.worker)

    def close(self) -> None:
        """Stop loading ahead; in a store of several machines, leave the hashes of what was read."""
        if "ahead" in vars(self):
            self.ahead.close()
        if "digests" in vars(self) and self.settings.store is not None:
            with contextlib.suppress(StoreError):  # it only saves reading
                self.digests.flush()

    # Called when something is computed for the first time.
    def _device(self) -> str:
        found = device_of(self.settings)
        self.device = described(found, in_effect(self.settings.precision, found))
        return found

    def metric(self, config: MetricConfig, device: str = "") -> BaseMetric:
        """Return one gate's metric, as it is on a device: this process's, unless one is named.

        Raises ``UnavailableError`` when a library is missing.
        """
        key = (config.metric, repr(sorted(config.params.items())), device)
        if key not in self._metrics:
            metric = registry.get_metric(config.metric, **config.params)
            known = device or self.settings.precision == "fp32" or not metric.is_moved_by_tf32()
            self._metrics[key] = metric.run_in(self.settings.precision, device if known else self._likely_device)
        return self._metrics[key]

    def devices_behind(self, gate: MetricConfig, case: Case, recorded: Callable[[], Baseline | None]) -> list[str]:
        """Return the devices on which a gate's results may have been computed, the likeliest first."""

        def metrics() -> list[object]:
            metric = self.metric(gate, "cpu")
            return [metric, *self.members(metric, case, "cpu").values()]

        def scores() -> CorpusScore | None:
            baseline = recorded()
            return None if baseline is None else baseline.scores

        return devices_behind(self.settings, metrics, scores)

    @cached_property
    def _likely_device(self) -> str:
        return likely_device(self.settings)

    def cohort_facts(self, case: Case, corpus: Corpus) -> dict[str, str] | None:
        """Return the facts that key the baselines of a case; ``None`` where it keys on none, or a cohort was named."""
        if not case.cohort or self.settings.cohort is not None:
            return None
        device = device_of(self.settings)
        here = {"device": described(device, in_effect(self.settings.precision, device))}
        return chosen({**here, **self.environment, **facts_beside(corpus)}, case.cohort)

    def looks_one_by_one(self, gate: MetricConfig, case: Case, clips: MethodClips | None) -> bool:
        """Whether a gate scores its samples itself, one after the other until it is sure.

        Not where all are scored anyway: to be recorded, to be ranked, or by other machines that do not see a gate.
        """
        here = case.scoring == "items" and clips is None and self.settings.part is None
        judges = self.wish == "judge" and self.settings.calibrate is None
        return gate.policy.decide == "sequential" and judges and here

    def members(self, metric: BaseMetric, case: Case, device: str = "") -> dict[str, BaseMetric | UnavailableError]:
        """Return the parts of a composite metric as the case configures them; nothing for another metric.

        ``device`` as for :meth:`metric`.
        """
        from pytest_vidmetrics.metrics.composite import CompositeMetric, present

        found: dict[str, BaseMetric | UnavailableError] = {}
        for name in present(metric) if isinstance(metric, CompositeMetric) else ():
            try:
                found[name] = self.metric(case.part(name), device)
            except UnavailableError as error:
                found[name] = error
        return found

    def noise(self, config: MetricConfig, case: Case, corpus: Corpus) -> Noise:
        """Measure a gate's noise as ``--vidmetrics-calibrate`` asks for it."""
        metric, wanted = self.metric(config), self.settings.calibrate
        if isinstance(wanted, tuple):
            if self.config.hook.pytest_vidmetrics_load_samples(config=self.config, case=case) is not None:
                raise VidmetricsError(
                    "the noise cannot be measured: a hook lists the clips of this case, which knows of no "
                    "checkpoints; give --vidmetrics-calibrate a number"
                )
            generations = {name: resolve_samples(case, name) for name in wanted}
            return generation_noise(metric, generations, self.worker, self.members(metric, case))
        return scoring_noise(metric, corpus, self.worker, wanted or 0, self.members(metric, case))

    def claim(self, manifest: Manifest) -> Path | None:
        """Reserve the place of a manifest's baselines; return the other manifest that already has it."""
        place = Recorder.of("manifest", manifest.path, self.folder.path, "case", "gate").places(
            self.folder.path, self.folder.root
        )[0]
        self._names.setdefault(manifest.stem.casefold(), set()).add(manifest.path)
        # The first manifest to come keeps the place.
        other = self._homes.setdefault(place.casefold(), manifest.path)
        return other if other != manifest.path else None

    def shares_its_name(self, manifest: Manifest) -> bool:
        """Whether another manifest of this run has the same name."""
        return len(self._names.get(manifest.stem.casefold(), ())) > 1


RUN: pytest.StashKey[Run] = pytest.StashKey()


_RUN_NAME: pytest.StashKey[str] = pytest.StashKey()


def generations_of(config: Config) -> Generations:
    """Return the clips that methods generated. Workers of a run have one name: what fails is tried once."""
    # xdist gives all workers of a run one id.
    unnamed = getattr(config, "workerinput", {}).get("testrunuid") or uuid.uuid4().hex
    name = config.stash.setdefault(_RUN_NAME, unnamed)
    return Generations((config.stash[SETTINGS].cache or get_cache_dir()) / "generated", name)


def _refusal(run: Run, clips: MethodClips) -> str:
    """Return why nothing is to be generated for a method; nothing when all is well."""
    from pytest_vidmetrics.plugin.preflight import preflight

    try:
        preflight(run, clips)
    except VidmetricsError as error:
        return str(error)
    return ""


def tells(config: Config) -> bool:
    """Whether scores of single clips are reported: to a file, or to a hook."""
    # A hook that nobody implements needs no data.
    return config.stash[SETTINGS].tells or bool(config.hook.pytest_vidmetrics_report.get_hookimpls())
