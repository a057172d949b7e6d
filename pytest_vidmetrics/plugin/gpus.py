"""Which GPUs this process may use, asked of the driver: the system may list more than a container was given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache

VISIBLE = "CUDA_VISIBLE_DEVICES"
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
    if listed is None:
        return [str(index) for index in range(count())]
    names: list[str] = []
    for name in listed.split(","):
        if name.strip() in ("", "-1", "NoDevFiles"):
            break
        names.append(name.strip())
    return names
