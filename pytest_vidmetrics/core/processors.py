"""How many processors this process may use, and how its threads wait for one another."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that say how many threads numerical libraries start."""
_POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_GROUPS = Path("/sys/fs/cgroup")


def available(groups: Path = _GROUPS) -> int:
    """Return the number of processors: those this process may run on, or fewer where its container has a quota."""
    # Affinity counts what this process may use; not every system has it.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(groups)
    return max(1, min(cores, int(quota))) if quota is not None else cores


def share(processes: int | None = None) -> int:
    """Return how many processors one of ``processes`` may keep busy; by default those of pytest-xdist, if any."""
    told = os.environ.get("PYTEST_XDIST_WORKER_COUNT", "")
    count = processes if processes is not None else int(told) if told.isdecimal() and len(told) < 10 else 1
    return max(1, available() // max(1, count))


def _quota(groups: Path) -> float | None:
    """Return the processor time per time that the container has, by version 2 or 1 of control groups."""
    try:
        # Version 2: "max 100000", or quota and period in microseconds.
        limit, period = (groups / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (groups / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (groups / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        # -1 stands for no limit in version 1.
        return float(limit) / float(period) if float(limit) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None


@contextlib.contextmanager
def torch_limited(limit: int) -> Iterator[None]:
    """Limit torch and OpenMP, whose number is one of each thread, for the calling thread."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    if torch is None or before <= limit:
        yield
        return
    torch.set_num_threads(limit)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def wait_passively(environment: MutableMapping[str, str]) -> str | None:
    """Let idle threads of OpenMP sleep instead of spin; return the variable that was set, if any.

    On a machine that is busy with other work, threads that spin keep the one that they wait for from running: small
    operations then take several hundred times as long. To be called before torch is imported; a choice that the
    user made stands.
    """
    if any(name in environment for name in _POLICIES):
        return None
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    return "OMP_WAIT_POLICY"
