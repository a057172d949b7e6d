"""Tensors that have not been read yet: what a torch pickle says about them, until someone asks for one."""

from __future__ import annotations

import contextlib
import reprlib
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_vidmetrics.networks.pickles import Stub

_STORAGES = {
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
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    # A storage without a dtype: ``_rebuild_tensor_v3`` states that of the tensor.
    "UntypedStorage": torch.uint8,
}
_STATED = {f"torch.{name}": getattr(torch, name) for name in ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32")}
_PLAIN_TENSORS = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"})
_PARAMETERS = frozenset({"_rebuild_parameter", "_rebuild_parameter_with_state"})
# How TorchScript writes the type of a list or dict beside it; the first argument is the value.
_TYPED = frozenset({"build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag"})


class WeightsFileError(ValueError):
    """A file that does not hold weights, is damaged, or does not hold what was asked for."""


_RAISED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    OSError,  # a place in the file that no file has
)


@contextlib.contextmanager
def parsing() -> Iterator[None]:
    """Turn whatever damaged bytes raise in a parser into :class:`WeightsFileError`."""
    try:
        yield
    except WeightsFileError:
        raise
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, EOFError) as error:
        raise WeightsFileError(f"the file is damaged: {error}") from error
    except _RAISED as error:
        raise WeightsFileError(f"not a torch file, or a damaged one: {_told(error)}") from error


def _told(error: Exception) -> str:
    try:
        return str(error)[:200]
    except RecursionError:  # a key of tuples in tuples
        return type(error).__name__


@dataclass(eq=False)
class Storage:
    """Numbers of one type that lie in a row in a file; read when the first tensor in it is asked for."""

    dtype: torch.dtype
    count: int
    read: Callable[[Storage], torch.Tensor]
    _flat: torch.Tensor | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Its length in bytes."""
        return self.count * self.dtype.itemsize

    def flat(self) -> torch.Tensor:
        """Return all its numbers, read once."""
        if self._flat is None:
            self._flat = self.read(self)
        return self._flat

    def part(self, start: int, count: int) -> Storage:
        """Return a stretch of it as a storage. Raises :class:`WeightsFileError` when it reaches beyond the end."""
        if not 0 <= start <= start + count <= self.count:
            raise WeightsFileError(f"a view of {count} numbers from {start} reaches beyond its {self.count}")
        return Storage(self.dtype, count, lambda _: self.flat()[start : start + count])


@dataclass(frozen=True, eq=False)
class Slice:
    """A tensor that has not been read yet. Raises :class:`WeightsFileError` when it cannot lie in its storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.size, *self.stride)
        # `type(n) is int` leaves out True, which is an int to Python.
        if not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers) or len(self.size) != len(self.stride):
            raise WeightsFileError(f"a tensor has the size, stride and offset {reprlib.repr(numbers)}")
        # The furthest number that the strides reach.
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and (last + 1) * self.dtype.itemsize > self.storage.nbytes:
            raise WeightsFileError(f"a tensor of the shape {self.size} reaches beyond its storage")

    def tensor(self) -> torch.Tensor:
        """Return the tensor; those of one storage share memory."""
        flat = self.storage.flat()
        # The tensor states a type of its own where its storage has none.
        if flat.dtype != self.dtype:
            flat = flat.view(self.dtype)
        return flat.as_strided(self.size, self.stride, self.offset)


class Storages:
    """The storages of one file by key, each once, however many tensors share it.

    ``read`` is called with a key and returns what reads the storage of that key.
    """

    def __init__(self, read: Callable[[str], Callable[[Storage], torch.Tensor]]) -> None:
        self._read = read
        self.found: dict[str, Storage] = {}

    def find(self, pid: Any) -> Any:
        """Return the storage that a persistent id names, or the stub behind the id of a module."""
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module":
            return pid[1]
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or not isinstance(pid[2], str):
            raise WeightsFileError(f"the persistent id {reprlib.repr(pid)} does not name a tensor")
        _, kind, key, _location, count, *view = pid
        # The first tensor of a storage says its length for all.
        if key not in self.found:
            self.found[key] = Storage(dtype_of(kind), counted(count), self._read(key))
        if not view or view[0] is None:
            return self.found[key]
        _, start, length = view[0]
        return self.found[key].part(counted(start), counted(length))


def counted(value: Any) -> int:
    """Return a value that must be a number of things. Raises :class:`WeightsFileError` for any other."""
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise WeightsFileError(f"damaged: {reprlib.repr(value)} stands where a count belongs")
    return value


def dtype_of(kind: Any) -> torch.dtype:
    """Return the type of the numbers in a class of storages, by its name."""
    name = kind.kind.rpartition(".")[2] if isinstance(kind, Stub) else reprlib.repr(kind)
    if name not in _STORAGES:
        raise WeightsFileError(f"tensors in {name} cannot be read")
    return _STORAGES[name]


def construct(name: str, args: tuple[Any, ...]) -> Any:
    """Return the tensor, dict or plain value that one of a few known names makes; ``NotImplemented`` for others."""
    # Names are compared as text; nothing is imported.
    module, _, short = name.rpartition(".")
    if module == "torch._utils" and short in _PLAIN_TENSORS:
        return _slice(args, args[6] if short.endswith("v3") else None)
    if module == "torch._utils" and short in _PARAMETERS:
        return args[0]
    # A tensor of a subclass: the function that makes the plain one, and its arguments.
    if name == "torch._tensor._rebuild_from_type_v2" and isinstance(args[0], Stub):
        return construct(args[0].kind, tuple(args[2]))
    if name == "collections.OrderedDict":
        return {key: value for key, value in args[0]} if args else {}  # noqa: C416 - pairs may be lists
    if name == "torch.Size":
        return tuple(args[0])
    if module == "torch.jit._pickle" and short in _TYPED:
        return args[0]
    return NotImplemented


def _slice(args: tuple[Any, ...], stated: Any) -> Any:
    storage, offset, size, stride = args[:4]
    if not isinstance(storage, Storage):
        return NotImplemented
    dtype = storage.dtype
    if isinstance(stated, Stub):
        if stated.kind not in _STATED:
            raise WeightsFileError(f"tensors of the type {stated.kind} cannot be read")
        dtype = _STATED[stated.kind]
    return Slice(storage, offset, tuple(size), tuple(stride), dtype)
