"""Which GPUs there are, by the driver: the system may list more than a container was given. And which one is used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache

from pytest_vidmetrics.core.devices import spelled
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.plugin.settings import Settings

VISIBLE = "CUDA_VISIBLE_DEVICES"
PINNED = "VIDMETRICS_GPU"
"""Names the GPU that the controller gave to a worker of pytest-xdist."""
_SECONDS = 60
_COUNT = """
import ctypes
driver = ctypes.CDLL("libcuda.so.1")
count = ctypes.c_int()
if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
    print(count.value)
"""


@cache
def driver_count() -> int:
    """Return the number of GPUs that the CUDA driver gives out; 0 without a driver.

    A process of its own asks: a driver that was started here could not be used in processes that are forked later.
    """
    try:
        found = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(found.stdout) if found.returncode == 0 and found.stdout.strip() else 0


def visible_devices(caller: Mapping[str, str], count: Callable[[], int] = driver_count) -> list[str]:
    """Return the caller's GPUs as opaque names: indices, UUIDs or MIG ids. Imports no torch.

    An entry ``-1`` hides itself and all that follow it, as the CUDA driver reads the variable. ``NoDevFiles`` is what
    SLURM writes into jobs without a GPU. ``count`` is asked where the variable is not set.
    """
    listed = caller.get(VISIBLE)
    # Unset is all; set and empty is none.
    if listed is None:
        return [str(index) for index in range(count())]
    names: list[str] = []
    for name in listed.split(","):
        if name.strip() in ("", "-1", "NoDevFiles"):
            break
        names.append(name.strip())
    return names


def device_of(settings: Settings) -> str:
    """Return the torch device of this process. An xdist worker sees one GPU, whatever its number outside.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` in a worker that was given a GPU and has none.
    """
    if settings.device.startswith("cuda:") and "PYTEST_XDIST_WORKER" in os.environ:
        return "cuda:0"
    if settings.device != "auto":
        return spelled(settings.device)
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    if given := os.environ.get(PINNED):
        raise UnavailableError(
            f"this worker was given the GPU {given}, and torch {torch.__version__} cannot use it: it does not compute "
            "on the processor instead. See nvidia-smi, or compute without GPUs: --vidmetrics-device=cpu"
        )
    return "cpu"
