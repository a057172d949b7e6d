"""Fixtures for ordinary test files: the same engine and the same baselines as the gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_vidmetrics.engine.evaluator import Evaluator
    from pytest_vidmetrics.plugin.checks import BaselineChecks
    from pytest_vidmetrics.plugin.in_process import InProcess


@pytest.fixture(scope="session")
def vidmetrics_device(pytestconfig: pytest.Config) -> str:
    """Return this worker's torch device: ``"cpu"`` or ``"cuda:N"``."""
    from pytest_vidmetrics.plugin.gpus import device_of
    from pytest_vidmetrics.plugin.settings import SETTINGS

    return device_of(pytestconfig.stash[SETTINGS])


@pytest.fixture(scope="session")
def vidmetrics(vidmetrics_device: str, pytestconfig: pytest.Config) -> Iterator[Callable[..., Evaluator]]:
    """Return a function that makes an Evaluator on this worker's device, once per set of metrics.

    ``vidmetrics("common.psnr").evaluate(video="a.mp4", reference="b.mp4")["common.psnr"].score``
    """
    from pytest_vidmetrics.engine.evaluator import Evaluator
    from pytest_vidmetrics.plugin.settings import SETTINGS

    precision = pytestconfig.stash[SETTINGS].precision
    made: dict[tuple[str, ...], Evaluator] = {}

    def make(*metrics: str) -> Evaluator:
        if metrics not in made:
            made[metrics] = Evaluator(list(metrics), device=vidmetrics_device, precision=precision)
        return made[metrics]

    yield make
    for evaluator in made.values():
        evaluator.unload()


@pytest.fixture(scope="session")
def vidmetrics_backbone(vidmetrics_device: str) -> Callable[[str, Callable[[], Any]], Any]:
    """Return ``load(name, build)``: a shared network, built once per worker and kept."""
    from pytest_vidmetrics.networks import shared

    def load(name: str, build: Callable[[], Any]) -> Any:
        return shared.load(name, vidmetrics_device, build)

    return load


@pytest.fixture
def vidmetrics_samples(request: pytest.FixtureRequest) -> Callable[[str, str], Any]:
    """Return ``load(manifest, case)``: the samples of a manifest's case; paths relative to the test file."""
    from pytest_vidmetrics.gates.listing import resolve_samples
    from pytest_vidmetrics.gates.manifest import load_manifest
    from pytest_vidmetrics.plugin.settings import SETTINGS

    def load(manifest: str, case: str) -> Any:
        found = load_manifest(request.path.parent / manifest)
        chosen = next((entry for entry in found.cases if entry.name == case), None)
        if chosen is None:
            raise LookupError(f"{manifest} has no case {case!r}; it has {', '.join(c.name for c in found.cases)}")
        return resolve_samples(chosen, request.config.stash[SETTINGS].checkpoint).samples

    return load


@pytest.fixture
def vidmetrics_generate(request: pytest.FixtureRequest) -> InProcess:
    """Return ``generate("MANIFEST::CASE::METHOD", fn)``, which makes a method's clips with a function of the test.

    The pipeline belongs into a fixture of ``scope="session"``: it is then built once a worker.
    """
    from pytest_vidmetrics.plugin.in_process import InProcess

    return InProcess(request.node)


@pytest.fixture
def vidmetrics_baseline(request: pytest.FixtureRequest) -> BaselineChecks:
    """Return an object whose ``check(name, score, ...)`` compares a number with the baseline of this test."""
    from pytest_vidmetrics.plugin.checks import BaselineChecks

    return BaselineChecks.of(request)
