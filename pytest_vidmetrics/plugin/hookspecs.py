"""Hooks that a conftest.py or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.config import Config


@pytest.hookspec
def pytest_vidmetrics_register_metrics(registry: Any) -> None:
    """Register metrics of your own before manifests are read.

    ``registry`` is the module :mod:`pytest_vidmetrics.metrics.registry`::

        def pytest_vidmetrics_register_metrics(registry):
            registry.register("mine.sharpness")(Sharpness)
    """


@pytest.hookspec(firstresult=True)
def pytest_vidmetrics_load_samples(config: Config, case: Any) -> Any:
    """Return the :class:`~pytest_vidmetrics.gates.listing.Corpus` of a case, or ``None`` for the usual one."""


@pytest.hookspec(firstresult=True)
def pytest_vidmetrics_judge(config: Config, gate: Any, observed: Any, baseline: Any) -> Any:
    """Return a :class:`~pytest_vidmetrics.gates.judge.Verdict`, or ``None`` for the usual rule.

    Called only for an observation that is complete and comparable: a doubt cannot be overruled.
    """


@pytest.hookspec
def pytest_vidmetrics_update_environment(config: Config, environment: dict[str, str]) -> None:
    """Change the environment facts, in place, that a baseline records for information."""


@pytest.hookspec
def pytest_vidmetrics_report(config: Config, record: Any) -> None:
    """Take the :class:`~pytest_vidmetrics.gates.record.RunRecord` of a run in which gates or checks were judged.

    Called once, in the process that decides, behind everything that the run writes: for a dashboard or a database.
    The verdicts stand; a hook that raises makes the run red.
    """
