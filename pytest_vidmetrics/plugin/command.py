"""The command that a message prints: it can be pasted into the shell that started the run."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.config import Config

_UNSAFE = re.compile(r"[\"$`\\!]")
# What decides which clips are judged, by what, and where results are kept.
_AGAIN = {
    "vidmetrics_checkpoint": "--vidmetrics-checkpoint",
    "vidmetrics_cohort": "--vidmetrics-cohort",
    "vidmetrics_baseline_dir": "--baseline-dir",
    "vidmetrics_cache": "--vidmetrics-cache",
    "vidmetrics_store": "--vidmetrics-store",
    "vidmetrics_verify_content": "--vidmetrics-verify-content",
    "vidmetrics_device": "--vidmetrics-device",
    "vidmetrics_precision": "--vidmetrics-precision",
}
_ALLOWANCES = {
    "vidmetrics_allow_unavailable": "--vidmetrics-allow-unavailable",
    "vidmetrics_allow_ci_update": "--vidmetrics-allow-ci-update",
}


def command_for(item: pytest.Item, *, metric: str | None = None, update: bool = False, root: str | None = None) -> str:
    """Return the command that runs one item again, from the same folder and with the same options.

    The item's path is relative to the folder that pytest was started from, which need not be pytest's rootdir; with
    ``root`` the command names another one.
    """
    node = _below(item, item.config.invocation_params.dir)
    words = [f"--vidmetrics={metric}"] if metric else []
    words += map(shlex.quote, _options(item.config))
    words += [shlex.quote(f"--rootdir={root}")] if root else []
    words += ["--update-baselines"] if update else []
    return " ".join(["pytest", _quoted(node), *words])


def shown_id(item: pytest.Item) -> str:
    """Return an item's node id with its file, which pytest leaves out of the id of a file outside of its rootdir."""
    return _below(item, item.config.rootpath)


def node_names(item: pytest.Item) -> list[str]:
    """Return the names of an item's nodes below its file. xdist adds groups to node ids, not to names."""
    return [node.name for node in item.listchain() if node.path == item.path and not isinstance(node, pytest.File)]


def _below(item: pytest.Item, folder: Path) -> str:
    return "::".join([os.path.relpath(item.path, folder), *node_names(item)])


def _options(config: Config) -> list[str]:
    option = config.option
    given = {dest: config.getoption(dest) for dest in _AGAIN}
    words = [f"{_AGAIN[dest]}={value}" for dest, value in given.items() if value is not None]
    words += [flag for dest, flag in _ALLOWANCES.items() if config.getoption(dest)]
    # Options of an ini file given by -o count too.
    for override in option.override_ini or ():
        words += ["-o", override] if override.partition("=")[0] in (*_AGAIN, *_ALLOWANCES) else []
    words += ["-c", str(option.inifilename)] if option.inifilename else []
    return words + ([f"--rootdir={option.rootdir}"] if option.rootdir else [])


def _quoted(text: str) -> str:
    # Double quotes read best around ids with brackets; what a shell would read inside needs single ones.
    return shlex.quote(text) if _UNSAFE.search(text) else f'"{text}"'
