"""What happens once at the start of a run that uses the plugin."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import pytest

from pytest_vidmetrics.plugin.session import RUN, Run
from pytest_vidmetrics.plugin.settings import Settings
from pytest_vidmetrics.plugin.writable import check_baselines, check_store

if TYPE_CHECKING:
    from _pytest.config import Config
    from _pytest.nodes import Item


def prepare(config: Config, settings: Settings) -> None:
    """Register third-party metrics, check the selection and the folders, and start recording.

    Raises ``pytest.UsageError`` for an unknown metric, for variables that name no shard, for a store or baseline
    folder that cannot be written, and for a GPU that is not there.
    """
    from pytest_vidmetrics.core.errors import VidmetricsError
    from pytest_vidmetrics.core.processors import wait_passively
    from pytest_vidmetrics.core.wording import printable
    from pytest_vidmetrics.metrics import registry
    from pytest_vidmetrics.plugin.ahead import LoadingAhead
    from pytest_vidmetrics.plugin.controller import Controller
    from pytest_vidmetrics.plugin.progress import Progress
    from pytest_vidmetrics.plugin.reports import ItemReports
    from pytest_vidmetrics.plugin.shards import sharded
    from pytest_vidmetrics.plugin.terminal import TerminalWriter

    if (variable := wait_passively(os.environ)) is not None:
        # A process may run pytest again: that run must not take this for the user's choice.
        config.add_cleanup(functools.partial(os.environ.__delitem__, variable))
    settings = sharded(settings)
    try:
        config.hook.pytest_vidmetrics_register_metrics(registry=registry)
        choices = registry.selectable()
    # `sys.exit()` in somebody's hook must not end pytest without a word.
    except (Exception, SystemExit) as error:
        text = error if isinstance(error, VidmetricsError) else f"{type(error).__name__}: {error}"
        raise pytest.UsageError(printable(f"the metrics cannot be registered: {text}")) from error
    for name in settings.selection or ():
        if name not in choices:
            raise pytest.UsageError(
                f"--vidmetrics: unknown metric or group {name!r}{registry.hint(name, choices)} (see: vidmetrics list)"
            )
    config.stash[RUN] = run = Run(config, settings)
    config.pluginmanager.register(LoadingAhead(run, is_worker=hasattr(config, "workerinput")), "vidmetrics-ahead")
    reports = ItemReports(run)
    config.pluginmanager.register(reports, "vidmetrics-item-reports")
    if hasattr(config, "workerinput"):
        from pytest_vidmetrics.plugin import xdist as workers

        config.pluginmanager.register(workers.EndsWithItsDevice(run), "vidmetrics-lost-device")
        # A worker prints, writes and decides nothing.
        return
    controller = Controller(config, run, reports)
    config.pluginmanager.register(controller, "vidmetrics-controller")
    config.pluginmanager.register(TerminalWriter(controller), "vidmetrics-terminal")
    config.pluginmanager.register(Progress(config), "vidmetrics-progress")
    # In the controller only: every worker would fail with the same words.
    check_store(settings)
    check_baselines(settings)
    if not config.option.collectonly:
        check_device(settings)
    if config.pluginmanager.hasplugin("xdist"):
        from pytest_vidmetrics.plugin import xdist as workers

        config.pluginmanager.register(workers.Workers(settings, controller), "vidmetrics-workers")


def check_device(settings: Settings) -> None:
    """Raise ``pytest.UsageError`` for a GPU that was named and is not there: every gate would fail on its own."""
    if settings.judge or not settings.device.startswith("cuda"):
        return
    from pytest_vidmetrics.core.errors import UnavailableError
    from pytest_vidmetrics.engine.devices import resolve_devices

    try:
        resolve_devices(settings.device)
    except UnavailableError as error:
        raise pytest.UsageError(f"--vidmetrics-device={settings.device}: {error}") from error


def arrange(config: Config, items: list[Item]) -> None:
    """Order gates last and bring back items that report a broken manifest.

    What scores clips that a test function makes comes behind the test functions, and rankings behind the gates. Only
    speed depends on the order otherwise. A manifest that cannot be read must stay red under ``-k`` and ``-m`` too:
    deselected, its cases would be missing without a word.
    """
    run = config.stash.get(RUN, None)
    if run is None:
        return
    from pytest_vidmetrics.plugin.gate_item import GateItem
    from pytest_vidmetrics.plugin.rank_item import RankItem
    from pytest_vidmetrics.plugin.score_item import ScoreItem

    def turn(item: Item) -> int:
        if isinstance(item, GateItem | RankItem):
            return 3 if isinstance(item, RankItem) else 2
        return int(isinstance(item, ScoreItem) and item.clips is not None and item.clips.method.in_process)

    # An item that was kept may be there already: -k did not hit it.
    present = set(items)
    kept = [item for item in run.kept if item not in present]
    # Sorting is stable: within each kind items keep the order of their manifests.
    items[:] = kept + sorted(items, key=turn)
