"""Torch files of every age as data: zip, TorchScript, legacy and tar. Nothing of a file is executed.

The pickle inside is read by :mod:`~pytest_vidmetrics.networks.pickles`; a name that does not make a tensor stays an
inert stub. Tensors are read when they are asked for, so that an optimiser beside the weights costs nothing.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pytest_vidmetrics.networks.lazy_tensors import Storage, Storages, WeightsFileError, construct, parsing
from pytest_vidmetrics.networks.pickles import read_pickle
from pytest_vidmetrics.networks.torch_tar import is_tar, read_tar

ZIP = b"PK\x03\x04"
_LEGACY = b"\x80"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_BIG_ENDIAN = "the tensors are big-endian: save the file again on a little-endian machine"


def read_torch_file(path: Path, *, mapped: bool = False) -> Any:
    """Return what a torch file holds: dicts, lists, numbers, texts, ``Slice`` tensors and inert ``Stub`` objects.

    ``mapped`` leaves tensors in the file until they are used, where the container stores them uncompressed and
    aligned; nobody may write to the file meanwhile. Raises
    :class:`~pytest_vidmetrics.networks.lazy_tensors.WeightsFileError`.
    """
    with parsing():
        if not path.stat().st_size:
            raise WeightsFileError("the file is empty")
        with path.open("rb") as stream:
            # A private mapping: what is written to a tensor never reaches the file.
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        if data[: len(ZIP)] == ZIP:
            return _read_zip(path, data, mapped)
        if is_tar(data):
            return read_tar(path)
        if data[: len(_LEGACY)] == _LEGACY:
            return _read_legacy(data, mapped)
    raise WeightsFileError("not a torch file: it begins like none of the four containers")


def _numbers_at(data: mmap.mmap, start: int, storage: Storage, mapped: bool) -> torch.Tensor:
    """Return the numbers of a storage that begins at a place in the file."""
    if start + storage.nbytes > len(data):
        raise WeightsFileError(f"the file ends before a tensor: {len(data)} bytes, {start + storage.nbytes} needed")
    if not storage.count:
        return torch.empty(0, dtype=storage.dtype)
    found = torch.frombuffer(data, dtype=storage.dtype, count=storage.count, offset=start)
    return found if mapped and start % storage.dtype.itemsize == 0 else found.clone()


class _Archive:
    """A zip file, with code beside the data (TorchScript) or without; the code is not looked at."""

    def __init__(self, path: Path, data: mmap.mmap, mapped: bool) -> None:
        self._path = path
        self._data = data
        self._mapped = mapped
        with zipfile.ZipFile(path) as archive:
            self._records = {info.filename: info for info in archive.infolist()}
            # The folder inside has any name.
            main = next((name for name in self._records if name.partition("/")[2] == "data.pkl"), None)
            if main is None:
                raise WeightsFileError("a zip file without data.pkl is not a torch file")
            self._prefix = main.removesuffix("data.pkl")
            order = f"{self._prefix}byteorder"
            if order in self._records and archive.read(order) != b"little":
                raise WeightsFileError(_BIG_ENDIAN)
            self.pickle = archive.read(main)

    def reader(self, key: str) -> Callable[[Storage], torch.Tensor]:
        """Return what reads the storage of a key."""
        name = f"{self._prefix}data/{key}"
        if name not in self._records:
            raise WeightsFileError(f"the archive lacks {name}")
        return lambda storage: self._storage(self._records[name], storage)

    def _storage(self, record: zipfile.ZipInfo, storage: Storage) -> torch.Tensor:
        if record.file_size != storage.nbytes:
            raise WeightsFileError(f"{record.filename} has {record.file_size} bytes, {storage.nbytes} expected")
        if record.compress_type == zipfile.ZIP_STORED:
            header = self._data[record.header_offset : record.header_offset + 30]
            if header[: len(ZIP)] != ZIP:
                raise WeightsFileError(f"{record.filename} has no header where the archive says")
            # The header before the data has a name and an extra field of its own lengths, other than in the directory.
            return _numbers_at(
                self._data,
                record.header_offset + 30 + sum(struct.unpack_from("<HH", header, 26)),
                storage,
                self._mapped,
            )
        # Compressed by another program: torch only stores.
        with zipfile.ZipFile(self._path) as archive:
            raw = bytearray(archive.read(record))
        return torch.frombuffer(raw, dtype=storage.dtype) if raw else torch.empty(0, dtype=storage.dtype)


def _read_zip(path: Path, data: mmap.mmap, mapped: bool) -> Any:
    archive = _Archive(path, data, mapped)
    return read_pickle(archive.pickle, construct, Storages(archive.reader).find)


def _read_legacy(data: mmap.mmap, mapped: bool) -> Any:
    """Read a file of torch before 1.6: five pickles one after the other, then the storages with their lengths."""
    if read_pickle(data, construct) != _MAGIC:
        raise WeightsFileError("a pickle that torch did not write")
    if (version := read_pickle(data, construct)) != _PROTOCOL:
        raise WeightsFileError(f"a legacy torch file of another protocol than {_PROTOCOL}: {version!r}")
    machine = read_pickle(data, construct)
    if isinstance(machine, dict) and machine.get("little_endian") is False:
        raise WeightsFileError(_BIG_ENDIAN)
    places: dict[str, int] = {}

    def reader(key: str) -> Callable[[Storage], torch.Tensor]:
        return lambda storage: _numbers_at(data, places[key], storage, mapped)

    storages = Storages(reader)
    found = read_pickle(data, construct, storages.find)
    keys = read_pickle(data, construct)
    # Behind the last pickle the numbers begin.
    at = data.tell()
    for key in keys:
        storage = storages.found[key]
        (count,) = struct.unpack_from("<q", data, at)
        if count != storage.count:
            raise WeightsFileError(f"the tensor {key} has {count} numbers, {storage.count} expected")
        places[key] = at + 8
        at += 8 + storage.nbytes
    if at > len(data):
        raise WeightsFileError(f"the file ends too early: {len(data)} bytes, {at} expected")
    return found
