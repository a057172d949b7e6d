"""What was typed for this very run: an ini file selects for every run, and nobody looks at it when a run is green."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_vidmetrics.gates.case import SUFFIXES

if TYPE_CHECKING:
    from _pytest.config import Config

_SELECTING: Mapping[str, tuple[str, ...]] = {
    "keyword": ("-k",),
    "markexpr": ("-m",),
    "deselect": ("--deselect",),
    "lf": ("--lf", "--last-failed"),
    "stepwise": ("--sw", "--stepwise"),
}


def asks(config: Config) -> bool:
    """Whether this very run is meant to compare: what an ini file selects concerns runs of other tests too."""
    if any(str(argument).endswith(SUFFIXES) for argument in config.args):
        return True
    if config.getoption("vidmetrics") is None:
        return False
    return collects_everything(config) or any(word.split("=")[0] == "--vidmetrics" for word in _typed(config))


def collects_everything(config: Config) -> bool:
    """Whether pytest was left to find the tests of the whole project."""
    # Without arguments, or with those of the ini file's testpaths.
    whole = config.args_source is not config.ArgsSource.ARGS
    return whole and config.invocation_params.dir == config.rootpath


def narrowed(config: Config) -> str:
    """Return by which option of the command line items were selected, or nothing.

    What the ini file selects concerns every run, and gates are known before it is applied.
    """
    typed = _typed(config)
    for name, flags in _SELECTING.items():
        given = getattr(config.option, name, None)
        if given and _is_typed(flags, typed):
            return f"items were selected ({name})"
    return "single items were named" if any("::" in str(argument) for argument in config.args) else ""


def _typed(config: Config) -> list[str]:
    """Return the words of the command line and of PYTEST_ADDOPTS, without those of the ini file."""
    try:
        extra = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    except ValueError:
        extra = []
    return [*map(str, config.invocation_params.args), *extra]


def _is_typed(flags: tuple[str, ...], typed: list[str]) -> bool:
    # Short options may have their value attached, as -kname.
    short = tuple(flag for flag in flags if not flag.startswith("--"))
    return any(word.split("=")[0] in flags or (short and word.startswith(short)) for word in typed)
