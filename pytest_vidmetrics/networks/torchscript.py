"""Tensors of a TorchScript archive, read without ``torch.jit`` and without running anything that it holds."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_LISTS = frozenset({"build_intlist", "build_doublelist", "build_boollist", "build_tensorlist"})


class _Stub:
    """Stands for a scripted module: keeps the attributes, has no behaviour."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Reader(pickle.Unpickler):
    """Resolves tensors, storages and scripted modules, and refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{prefix}/data.pkl")))
        self._archive = archive
        self._prefix = prefix

    def find_class(self, module: str, name: str) -> Any:
        """Return an inert stand-in. Raises ``UnpicklingError`` for any other name."""
        if module.startswith("__torch__"):
            return _Stub
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle" and name in _LISTS:
            return _identity
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"the archive asks for {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """Return the flat tensor of one storage."""
        _, kind, key, _, _ = pid
        data = bytearray(self._archive.read(f"{self._prefix}/data/{key}"))
        dtype = _DTYPES[kind]
        return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _identity(value: Any) -> Any:
    return value


def _rebuild(
    storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> torch.Tensor:
    return storage.as_strided(size, stride, offset).clone()


def is_torchscript(path: Path) -> bool:
    """Whether the file is a TorchScript archive, which has compiled code beside its data."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/")[1:2] == ["constants.pkl"] for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an archive by dotted attribute name.

    Raises ``ValueError`` for a file that is no archive, and ``pickle.UnpicklingError`` for one whose data names
    anything but tensors and scripted modules.
    """
    if not is_torchscript(path):
        raise ValueError(f"{path.name} is not a TorchScript archive")
    with zipfile.ZipFile(path) as archive:
        prefix = next(name.split("/")[0] for name in archive.namelist())
        found: dict[str, torch.Tensor] = {}
        _collect(_Reader(archive, prefix).load(), "", found.__setitem__)
    return found


def _collect(node: Any, name: str, put: Callable[[str, torch.Tensor], None]) -> None:
    if isinstance(node, torch.Tensor):
        put(name, node)
    elif isinstance(node, _Stub):
        for key, value in vars(node).items():
            _collect(value, f"{name}.{key}" if name else key, put)
