"""The pytest plugin: thin, and idle unless asked.

This module is imported by every pytest run of the environment. It may import pytest and the standard library,
nothing else; everything heavier is imported by the hook that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vidmetrics.plugin.fixtures import (
    vidmetrics,
    vidmetrics_backbone,
    vidmetrics_baseline,
    vidmetrics_device,
    vidmetrics_generate,
    vidmetrics_samples,
)
from pytest_vidmetrics.plugin.options import add_options
from pytest_vidmetrics.plugin.settings import SETTINGS, Settings, read_settings

if TYPE_CHECKING:
    from _pytest.config import Config, PytestPluginManager
    from _pytest.config.argparsing import Parser
    from _pytest.nodes import Collector, Item

__all__ = [
    "vidmetrics",
    "vidmetrics_backbone",
    "vidmetrics_baseline",
    "vidmetrics_device",
    "vidmetrics_generate",
    "vidmetrics_samples",
]

_SUFFIXES = (".vidmetrics.toml", ".vidmetrics.yaml", ".vidmetrics.yml", ".vidmetrics.json")


def pytest_addoption(parser: Parser, pluginmanager: PytestPluginManager) -> None:
    """Declare options and ini values."""
    add_options(parser)


def pytest_addhooks(pluginmanager: PytestPluginManager) -> None:
    """Declare the hooks for users."""
    from pytest_vidmetrics.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: Config) -> None:
    """Read the settings; prepare a run only when this one uses the plugin."""
    settings = read_settings(config)
    config.stash[SETTINGS] = settings
    if not _asked(config, settings):
        return
    from pytest_vidmetrics.plugin import activate as start

    start.prepare(config, settings)


def _asked(config: Config, settings: Settings) -> bool:
    """Whether an option or an argument of the command line concerns this plugin."""
    named = (str(argument).split("::", maxsplit=1)[0].endswith(_SUFFIXES) for argument in config.args)
    acts = bool(settings.writes) or settings.prune or settings.report is not None or settings.summary is not None
    return acts or settings.selection is not None or any(named)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: Config) -> int | None:
    """Return the number of visible GPUs for ``-n auto``. xdist asks before ``pytest_configure``."""
    settings = read_settings(config)
    if not _asked(config, settings):
        return None
    from pytest_vidmetrics.plugin.xdist import auto_workers

    return auto_workers(settings)


def pytest_collect_file(file_path: Path, parent: Collector) -> Any:
    """Collect a manifest when metrics were asked for or the file was named."""
    if not file_path.name.endswith(_SUFFIXES):
        return None
    settings = parent.config.stash[SETTINGS]
    # `isinitpath`: named itself on the command line, not found in a folder.
    if settings.selection is None and not parent.session.isinitpath(file_path):
        return None
    from pytest_vidmetrics.plugin.collect import ManifestFile

    return ManifestFile.from_parent(parent, path=file_path)


# Last: other plugins may reorder, add and deselect before.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: Config, items: list[Item]) -> None:
    """Put gates behind everything else, and keep what may not be deselected."""
    if not config.pluginmanager.hasplugin("vidmetrics-item-reports"):
        return
    from pytest_vidmetrics.plugin import activate as start

    start.arrange(config, items)
