"""Settings that must be in place before any test module is imported."""

from __future__ import annotations

import gc
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pytest_vidmetrics.core.processors import available

# huggingface_hub reads these once, at import; no test may look for a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Workers share the cores: more threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The plugin behaves otherwise where it is set (a run in CI records nothing); a test that means it sets it.
for variable in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
    os.environ.pop(variable, None)

# Modules that are imported while tests are collected are compiled once and kept: a process that a test starts loads
# them in half the time. What a test writes is never kept: a module that is written twice in one second would be taken
# for the first one.
sys.dont_write_bytecode = False
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

# What a busy machine takes longer for is not wrong: no test fails by the clock. What hypothesis draws is the same in
# every run, so that a change is red for what it changed; HYPOTHESIS_PROFILE=explore looks further.
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def _remembered(read: Callable[[PathDistribution], Any]) -> property:
    """Return what ``read`` says of a distribution, asked once for each that is installed in this environment."""
    known: dict[str, Any] = {}
    site = sysconfig.get_path("purelib")

    def once(distribution: PathDistribution) -> Any:
        path = str(distribution._path)
        if path in known:
            return known[path]
        found = read(distribution)
        if path.startswith(site):
            known[path] = found
        return found

    return property(once)


# Each run of pytest inside a test asks all distributions three times, which is a fifth of what it costs.
for of_a_distribution in ("metadata", "entry_points", "files"):
    reading = getattr(PathDistribution, of_a_distribution).fget
    setattr(PathDistribution, of_a_distribution, _remembered(reading))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Start one worker more than there are cores: a test that waits for a process it started leaves its own idle."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return available() + 1


def pytest_collection_finish() -> None:
    """Keep what tests import out of the compiled modules."""
    sys.dont_write_bytecode = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep what was imported so far out of garbage collection, whenever another file of tests begins.

    Runs of pytest inside a test and evaluators collect several times each, and 0.2 s of every collection are the
    objects of torch and transformers, which stay.
    """
    if item.path not in _begun:
        _begun.add(item.path)
        gc.collect()
        gc.freeze()


_begun: set[Path] = set()


@pytest.fixture(autouse=True)
def _what_a_test_registers_ends_with_it() -> Iterator[None]:
    """Remove the metrics and datasets that the conftest files of inner runs, which share this process, leave behind."""
    before = {name for registry in _registries() for name in registry}
    yield
    for registry in _registries():
        for name, registered in list(registry.items()):
            if name not in before and not registered.__module__.startswith("pytest_vidmetrics."):
                del registry[name]


def _registries() -> list[dict[str, type]]:
    # Looked up and not imported: tests of an idle run see what it imports.
    modules = ("pytest_vidmetrics.metrics.registry", "pytest_vidmetrics.datasets.base")
    return [sys.modules[name]._registry for name in modules if name in sys.modules]
