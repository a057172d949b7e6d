"""Torch files of version 0.1: a tar of three streams (storages, tensors, and the pickle that refers to them)."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pytest_vidmetrics.networks.lazy_tensors import Slice, Storage, WeightsFileError, construct, counted, dtype_of
from pytest_vidmetrics.networks.pickles import read_pickle

_DIMENSIONS = 64


def is_tar(data: Any) -> bool:
    """Whether bytes begin as a tar file does."""
    return bool(data[257:262] == b"ustar")


def read_tar(path: Path) -> Any:
    """Return what the file holds, as :func:`~pytest_vidmetrics.networks.torch_files.read_torch_file` does."""
    # With `r:` a compressed archive is refused: torch did not write one.
    with tarfile.open(path, "r:") as archive:
        parts = {name: _member(archive, name) for name in ("storages", "tensors", "pickle")}
    tensors = _tensors(_Front(parts["tensors"]), _storages(_Front(parts["storages"])))

    def find(pid: Any) -> Any:
        # A tuple is the id of a module: its class, and source code that nobody reads.
        return pid[0] if isinstance(pid, tuple) else tensors[int(pid)]

    return read_pickle(parts["pickle"], construct, find)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    names = archive.getnames()
    stream = archive.extractfile(name) if name in names else None
    if stream is None:
        raise WeightsFileError(f"a tar file without the file {name!r} is not a torch file")
    return stream.read()


class _Front:
    """Pickles and numbers that follow one another."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def pickle(self) -> Any:
        """Return the value of the next pickle."""
        return read_pickle(self._stream, construct)

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return the next numbers of a :mod:`struct` layout."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self._stream.read(count)
        if len(found) != count:
            raise WeightsFileError(f"the file ends in a tensor: {len(found)} of {count} bytes")
        return found


def _storages(front: _Front) -> dict[int, Storage]:
    found: dict[int, Storage] = {}
    for _ in range(counted(front.pickle())):
        key, _location, kind = front.pickle()
        dtype = dtype_of(kind)
        (count,) = front.numbers("<q")
        # A buffer that may be written to, as torch wants it.
        raw = bytearray(front.take(counted(count) * dtype.itemsize))
        found[counted(key)] = _held(torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype))
    # Views of storages that come before them.
    for key, root, start, count in front.pickle():
        found[counted(key)] = found[counted(root)].part(counted(start), counted(count))
    return found


def _held(flat: torch.Tensor) -> Storage:
    return Storage(flat.dtype, len(flat), lambda _: flat)


def _tensors(front: _Front, storages: Mapping[int, Storage]) -> dict[int, Slice]:
    found: dict[int, Slice] = {}
    for _ in range(counted(front.pickle())):
        key, storage, _kind = front.pickle()
        dimensions, _padding = front.numbers("<ii")
        if not 0 <= dimensions <= _DIMENSIONS:
            raise WeightsFileError(f"a tensor has {dimensions} dimensions")
        size, stride = (front.numbers(f"<{dimensions}q") for _ in range(2))
        (offset,) = front.numbers("<q")
        owner = storages[counted(storage)]
        found[counted(key)] = Slice(owner, offset, size, stride, owner.dtype)
    return found
