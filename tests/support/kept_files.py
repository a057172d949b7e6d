"""Files that take seconds to make: made once for all workers of a run, removed by the last of them that ends."""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np

MOST_BYTES = (2 << 30) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
"""What one process writes as single arrays: the networks of a run without ``-m slow``, and not those of full size."""


def kept(name: str, write: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    """Return what ``write`` says of the files that it wrote into a folder, by this process or by another worker."""
    root = _joined()
    with (root / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        said = root / f"{name}.json"
        if not said.exists():
            shutil.rmtree(root / name, ignore_errors=True)  # of a worker that died while it wrote
            (root / name).mkdir()
            said.write_text(json.dumps(write(root / name)))
    found: dict[str, str] = json.loads(said.read_text())
    return found


def kept_array(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what ``make`` gives, from a file if this process or another worker has made it: writes stay in memory."""
    path = _joined() / f"{name}.npy"
    if path.exists():
        return np.asarray(np.load(path, mmap_mode="c"))
    made = make()
    if _written[0] + made.nbytes <= MOST_BYTES:
        _written[0] += made.nbytes
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        with part.open("wb") as stream:
            np.save(stream, made)
        part.replace(path)
    return made


_written = [0]


@functools.cache
def _joined() -> Path:
    """Return the folder of this run. It stays as long as a process holds the file ``users``."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}")
    root = Path(tempfile.gettempdir()) / f"vidmetrics-kept-{run}"
    while True:
        root.mkdir(exist_ok=True)
        try:
            users = (root / "users").open("w")
        except FileNotFoundError:
            continue  # the last user removed the folder in between
        fcntl.flock(users, fcntl.LOCK_SH)
        if (root / "users").exists() and (root / "users").stat().st_ino == os.fstat(users.fileno()).st_ino:
            break
        users.close()  # the last user removed it in between
    atexit.register(_leave, root, users, os.getpid())
    return root


def _leave(root: Path, users: TextIO, owner: int) -> None:
    if os.getpid() != owner:
        return  # a child that was forked
    with users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # somebody else still reads
        shutil.rmtree(root, ignore_errors=True)
