"""pytest-xdist: one process per GPU, pinned by the controller before the worker starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vidmetrics.core.processors import THREADS, available
from pytest_vidmetrics.plugin.controller import Controller
from pytest_vidmetrics.plugin.gpus import PINNED, VISIBLE, visible_devices
from pytest_vidmetrics.plugin.reports import WORKER_COLLECTED, Collected
from pytest_vidmetrics.plugin.session import Run
from pytest_vidmetrics.plugin.settings import Settings, whole_number

if TYPE_CHECKING:
    from _pytest.config import Config


class Workers:
    """Hooks of pytest-xdist. Registered on the controller, and only where xdist is loaded."""

    def __init__(self, settings: Settings, controller: Controller) -> None:
        self.settings, self.controller = settings, controller

    def pytest_xdist_setupnodes(self, config: Config, specs: Sequence[Any]) -> None:
        """Set each worker's device and threads. A restarted worker is made from the same spec, so it keeps them."""
        devices = devices_of(self.settings)
        for number, spec in enumerate(specs):
            spec.env.update(worker_environment(number, len(specs), devices, os.environ, available()))

    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker collected: all collect the same, and the controller nothing."""
        known = getattr(node, "workeroutput", {}).get(WORKER_COLLECTED)
        if known:
            self.controller.from_workers = Collected.from_wire(known)


class EndsWithItsDevice:
    """Ends a worker whose GPU it can use no more: xdist starts another one, which takes over what was left."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Leave when the report of the item that lost the device was sent; a clean end would keep the other items."""
        if self._run.has_lost_its_device:
            os._exit(1)


def auto_workers(settings: Settings) -> int | None:
    """Return the number of visible GPUs for ``-n auto``; without any, leave the answer to xdist: the cores."""
    asked = whole_number(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", ""))
    return asked if asked is not None else len(devices_of(settings)) or None


def devices_of(settings: Settings) -> list[str]:
    """Return the GPUs that this run may use: one, where ``--vidmetrics-device`` names one."""
    names = [] if settings.device == "cpu" else visible_devices(os.environ)
    # `cuda:2` is the third of the visible ones.
    number = whole_number(settings.device.partition(":")[2])
    return names if number is None else names[number : number + 1]


def worker_environment(
    number: int, workers: int, devices: Sequence[str], caller: Mapping[str, str], cores: int
) -> dict[str, str]:
    """Return the variables of worker ``number``: one device of the caller's own list, and its share of the cores."""
    # More workers than GPUs take turns on them.
    device = devices[number % len(devices)] if devices else ""
    settings = {VISIBLE: device, PINNED: device} if device else {}
    threads = str(max(1, cores // max(1, workers)))
    # What the caller set stands.
    return {**settings, **{name: threads for name in THREADS if name not in caller}}
