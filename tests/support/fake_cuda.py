"""A GPU that computes nothing: torch's fake tensors on the device "cuda", and a gauge of what would happen there.

It shows what needs no numbers: whether tensors of two devices meet, where the host would wait for the device, what is
copied to it, how many kernels are launched and how much memory is alive. It cannot show numbers or seconds.
"""

from __future__ import annotations

import contextlib
import functools
import math
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pytest_vidmetrics.networks import one_pass
from tests.support.roofline import Roofline

aten = torch.ops.aten
TINY = 1 << 20
"""An upload of fewer bytes is a constant, an index or a table, not the frames of a clip."""
_VIEWS = frozenset(
    {
        "_reshape_alias",
        "_unsafe_view",
        "alias",
        "as_strided",
        "chunk",
        "detach",
        "device",
        "diagonal",
        "empty",
        "empty_like",
        "empty_strided",
        "expand",
        "imag",
        "is_pinned",
        "lift",
        "lift_fresh",
        "narrow",
        "new_empty",
        "new_empty_strided",
        "permute",
        "real",
        "reshape",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "sym_size",
        "t",
        "transpose",
        "unbind",
        "unfold",
        "unsqueeze",
        "view",
        "view_as_real",
    }
)
_DATA_DEPENDENT = ("nonzero", "masked_select", "_unique2")
_OVERWRITING = ("copy_", "fill_", "zero_")
"""What they write to is not read."""
_LOOKUPS = ("_unsafe_index", "embedding", "gather", "index", "index_select")
"""Of their table they read what they give."""
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from tensors(one)


def nbytes(value: Any) -> int:
    """Return the bytes of a tensor."""
    return value.numel() * value.element_size()


def _moved(name: str, args: Any, kwargs: Any, out: Any) -> int:
    """Return the bytes that a kernel reads and writes: what goes in once, what comes out once."""
    read = list(tensors((args, {key: value for key, value in kwargs.items() if key != "out"})))
    if name in _OVERWRITING:
        read = read[1:]
    written = sum(_stored(one) for one in tensors(out) if one.device.type == "cuda")
    sizes = [_stored(one) for one in read if one.device.type == "cuda"]
    if name in _LOOKUPS and sizes:
        sizes[0] = min(sizes[0], written)
    return sum(sizes) + written


def _stored(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor, those that an expanded one repeats once."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, step in steps if step) * tensor.element_size()


@functools.cache
def _has_parts(func: Any) -> bool:
    """Whether ``func.decompose`` gives anything, which is slow to ask: most operations are kernels."""
    made_of_others = torch._C.DispatchKey.CompositeImplicitAutograd
    return made_of_others in func.py_kernels or torch._C._dispatch_has_kernel_for_dispatch_key(
        func.name(), made_of_others
    )


class Gauge(TorchDispatchMode):
    """Counts what programs do with the device. ``scalar`` is every number that they read from it."""

    def __init__(self, scalar: float = 0.5) -> None:
        super().__init__()
        self.scalar = scalar
        self.peaks = False
        self._pass: _Pass | None = None
        self.zero()

    def zero(self) -> None:
        """Forget what was counted; what is alive stays alive."""
        self.launches = 0
        self.reads: Counter[str] = Counter()
        self.uploads: list[tuple[int, str, bool]] = []
        self.largest_grid = 0
        self.kinds: Counter[str] = Counter()
        self.traffic: Counter[str] = Counter()
        self.time = Roofline()
        self._stores: dict[int, tuple[Any, int]] = {}
        self._live = self.peak = 0

    @property
    def tiny_uploads(self) -> int:
        """Copies of a few bytes: each waits for everything that the device still has to do."""
        return sum(size < TINY for size, _, _ in self.uploads)

    @property
    def large_uploads(self) -> list[int]:
        """The bytes of each copy of frames or weights."""
        return [size for size, _, _ in self.uploads if size >= TINY]

    @property
    def blocking(self) -> int:
        """Points at which the host waits for the device: reads, and uploads from memory that is not pinned."""
        return self.reads.total() + sum(not free for _, _, free in self.uploads)

    def places(self) -> str:
        """Return where the host waits, for a message."""
        found = self.reads + Counter(f"upload {where}" for _, where, free in self.uploads if not free)
        return "\n".join(f"{count:>5}  {where}" for where, count in found.most_common(40))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if func is aten._local_scalar_dense.default:
            known = getattr(args[0], "constant", None)
            return self._read(args[0]) if known is None else known.item()
        if name == "equal":
            self._note("equal")
            return args[0].shape == args[1].shape
        for one in tensors((args, kwargs)):
            if isinstance(one, FakeTensor):
                one.constant = None  # torch would compute with the numbers of small constants, on the real device
        if name in _DATA_DEPENDENT and (found := self._sized_by_values(name, args)) is not None:
            return found
        if name in ("index", "index_put_", "index_put", "_index_put_impl_"):
            args = self._by_places(args)
        if self._pass is not None:
            return self._pass.follow(name, func, args, kwargs)
        if name in ("cudnn_convolution_relu", "cudnn_convolution_add_relu"):
            return self._convolved(name, args)
        if name == "grid_sampler":
            return self._sampled(*args[:2])
        if name == "nms":
            self._note("nms")
            return torch.empty(len(args[0]), dtype=torch.int64, device=args[0].device)
        if name == "roi_align":
            return self._launched(name, args, args[0].new_empty((len(args[1]), args[0].shape[1], args[3], args[4])))
        known = func in flop_registry or func.overloadpacket in flop_registry or name.startswith("upsample_")
        if not known and func is not torch.ops.prim.device.default and _has_parts(func):
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if not any(one.device.type == "cuda" for one in tensors((args, kwargs, out))):
            return out
        if name in ("_to_copy", "copy_"):
            source, target = args[0] if name == "_to_copy" else args[1], next(tensors(out))
            if source.device.type == "cuda" and target.device.type == "cpu":
                self._note("to the host")
                return out
            if source.device.type == "cpu":
                free = bool(kwargs.get("non_blocking") or (len(args) > 2 and args[2])) and nbytes(source) >= TINY
                self.uploads.append((nbytes(source), self._site(), free))
                return self._alive(out)
        if name in _VIEWS:
            return self._alive(out) if "empty" in name else out
        return self._launched(name, (func, args, kwargs), out)

    def _launched(self, name: str, call: Any, out: Any, more: int = 0) -> Any:
        self.launches += 1
        self.kinds[name] += 1
        operations, kind = 0, ""
        if isinstance(call, tuple) and callable(call[0]):
            func, args, kwargs = call
            moved = _moved(name, args, kwargs, out)
            own = func.overloadpacket
            plain = getattr(aten, own.__name__.removesuffix("_"), own)  # in place it is as much work
            count = flop_registry.get(plain) or flop_registry.get(func)
            operations = int(count(*args, **kwargs, out_val=out)) if count is not None else 0
            kind = "product" if name.removesuffix("_") in _PRODUCTS else "convolution" if "convolution" in name else ""
        else:
            moved = _moved(name, call, {}, out)
        moved += more
        self.traffic[name] += moved
        self.time.add(kind, operations, moved)
        return self._alive(out)

    def attended(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return what attention gives: one kernel that holds no scores and writes the heads of a token side by side."""
        *batch, heads, length, _ = query.shape
        out = query.new_empty((*batch, length, heads, value.shape[-1])).transpose(-2, -3)
        heads = math.prod(query.shape[:-2])
        self.launches += 1
        self.kinds["attention"] += 1
        operations = 4 * heads * query.shape[-2] * key.shape[-2] * query.shape[-1]
        self.time.add("product", operations, sum(map(nbytes, (query, key, value, out))))
        return self._alive(out)

    def _read(self, tensor: torch.Tensor) -> Any:
        if tensor.device.type == "cuda":
            self._note("one number")
        return self.number(tensor)

    def number(self, tensor: torch.Tensor) -> Any:
        """Return what every value of a tensor is said to be."""
        if tensor.dtype == torch.bool:
            return self.scalar > 1
        return self.scalar if tensor.is_floating_point() else 1

    def read_all(self, tensor: torch.Tensor) -> Any:
        """Return what ``tolist()`` gives."""
        if tensor.device.type == "cuda":
            self._note("tolist")
        return np.full(tuple(tensor.shape), self.number(tensor)).tolist()

    def _sized_by_values(self, name: str, args: Any) -> Any:
        tensor = args[0]
        if tensor.device.type == "cuda":
            self._note(name)
        if name == "nonzero":
            return torch.zeros((1, tensor.dim()), dtype=torch.int64, device=tensor.device)
        if name == "_unique2":
            whole = torch.empty(tensor.shape, dtype=torch.int64, device=tensor.device)
            return tensor.new_empty((tensor.numel(),)), whole, whole.flatten()
        return tensor.new_empty((1,))

    def _by_places(self, args: Any) -> Any:
        """Return the arguments of an indexing without masks: half of the places are taken, and the host waits."""
        places = list(args[1])
        for i, one in enumerate(places):
            if isinstance(one, torch.Tensor) and one.dtype in (torch.bool, torch.uint8):
                if one.device.type == "cuda":
                    self._note("mask as an index")
                half = torch.zeros(max(1, one.numel() // 2), dtype=torch.int64, device=one.device)
                places[i : i + 1] = [half] * one.dim()
            elif isinstance(one, torch.Tensor) and one.device.type == "cpu" and args[0].device.type == "cuda":
                self.uploads.append((nbytes(one), self._site(), False))
        return (args[0], places, *args[2:])

    def _sampled(self, images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        self.largest_grid = max(self.largest_grid, len(images))
        out = images.new_empty((*images.shape[:2], *grid.shape[1:-1]))
        self.launches += 1
        self.kinds["grid_sampler"] += 1
        touched = min(nbytes(images), 4 * nbytes(out))
        self.traffic["grid_sampler"] += touched + nbytes(grid) + nbytes(out)
        self.time.add("", 0, touched + nbytes(grid) + nbytes(out))
        return self._alive(out)

    def _convolved(self, name: str, args: Any) -> Any:
        """Return what a convolution gives whose results are rectified before they are written."""
        images, weight, *added, bias, stride, padding, dilation, groups = args
        plain = (images, weight, bias, stride, padding, dilation, False, [0] * len(stride), groups)
        out = aten.convolution.default(*plain)
        return self._launched(name, (aten.convolution.default, plain, {}), out, sum(map(nbytes, added[:1])))

    def one_pass(self, function: Any, device: int) -> Any:
        """Return what is said to be compiled: one kernel that reads its arguments and writes its results."""
        del device

        def run(*args: Any) -> Any:
            given = list(tensors(args))
            self._pass = _Pass(given)
            try:
                out = function(*args)
                moved = self._pass.moved(out)
            finally:
                self._pass = None
            self.launches += 1
            self.kinds["one pass"] += 1
            self.traffic["one pass"] += moved
            self.time.add("", 0, moved)
            return self._alive([one for one in tensors(out) if all(one is not two for two in given)]) and out

        return run

    def _note(self, kind: str) -> None:
        self.reads[f"{kind} at {self._site()}"] += 1

    @staticmethod
    def _site() -> str:
        for frame in reversed(traceback.extract_stack(limit=60)):
            if "pytest_vidmetrics/" in frame.filename:
                return f"{frame.filename.rsplit('pytest_vidmetrics/', 1)[1]}:{frame.lineno}"
        return "elsewhere"

    def _alive(self, out: Any) -> Any:
        """Follow the memory of new tensors on the device."""
        if self.peaks:
            for one in tensors(out):
                store = one.untyped_storage()
                if one.device.type == "cuda" and store._cdata not in self._stores:
                    self._stores[store._cdata] = StorageWeakRef(store), store.nbytes()
                    self._live += store.nbytes()
            if self._live > self.peak:
                for key in [key for key, (ref, _) in self._stores.items() if ref.expired()]:
                    self._live -= self._stores.pop(key)[1]
                self.peak = max(self.peak, self._live)
        return out


class _Pass:
    """What a function of tensors reads and writes of its arguments when nothing in between is written to memory."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        self._given = given
        self._views = {id(one): i for i, one in enumerate(given)}
        self._held = list(given)
        """An id is that of one tensor as long as that tensor lives."""
        self._read = [0] * len(given)
        self._written = 0

    def follow(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Return what one operation gives."""
        if name in ("grid_sampler", "grid_sampler_2d"):
            out = args[0].new_empty((*args[0].shape[:2], *args[1].shape[1:-1]))
            self._reads(args[0], min(nbytes(args[0]), 4 * nbytes(out)))
            self._reads(args[1], nbytes(args[1]))
            return out
        out = func(*args, **kwargs)
        if next(tensors(out), None) is None:  # what device a tensor is on
            return out
        changed = func._schema.is_mutable
        for one in tensors(args):
            where = self._views.get(id(one))
            if where is None:
                continue
            if changed and one is args[0]:
                self._written += nbytes(one)
                if name == "copy_":
                    continue
            if isinstance(out, torch.Tensor) and out is not one and _same_memory(out, one):
                self._views[id(out)] = where
                self._held.append(out)
            else:
                self._reads(one, nbytes(one))
        return out

    def _reads(self, one: torch.Tensor, size: int) -> None:
        where = self._views.get(id(one))
        if where is not None:
            self._read[where] = min(self._read[where] + size, nbytes(self._given[where]))

    def moved(self, out: Any) -> int:
        """Return the bytes that were read and written: each argument once, and what is new."""
        new = [one for one in tensors(out) if id(one) not in self._views]
        return sum(self._read) + self._written + sum(map(nbytes, new))


def _same_memory(first: torch.Tensor, second: torch.Tensor) -> bool:
    return bool(first.untyped_storage()._cdata == second.untyped_storage()._cdata)


class _Host(TorchFunctionMode):
    """What Python asks of fake tensors and torch cannot answer without numbers."""

    def __init__(self, gauge: Gauge) -> None:
        super().__init__()
        self._gauge = gauge

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("numpy", "__array__") and isinstance(args[0], FakeTensor):
            if args[0].device.type == "cuda":
                raise TypeError("a tensor on cuda:0 has no numpy array: a device mismatch")
            return np.zeros(tuple(args[0].shape), dtype=str(args[0].dtype).removeprefix("torch."))
        if name == "pin_memory":
            return args[0]
        if name == "scaled_dot_product_attention":
            query, key, value = args[:3] if len(args) >= 3 else (kwargs[one] for one in ("query", "key", "value"))
            if query.device.type == "cuda":
                if len({one.device for one in (query, key, value)}) > 1:
                    raise RuntimeError("attention over tensors of cuda and cpu: a device mismatch")
                return self._gauge.attended(query, key, value)
        return func(*args, **kwargs)


def _to(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """Do what ``Module.to`` does: real parameters cannot be made fake in place."""
    device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
    for part in module.modules():
        for group, wrap in ((part._parameters, True), (part._buffers, False)):
            for key, old in group.items():
                if old is None:
                    continue
                kind = dtype if dtype is not None and old.is_floating_point() else old.dtype
                new = torch.empty_strided(old.shape, old.stride(), dtype=kind, device=device or old.device)
                group[key] = nn.Parameter(new, requires_grad=False) if wrap else new
    return module


def cuda_answers(name: str, free: int) -> tuple[tuple[Any, str, Any], ...]:
    """Return what torch.cuda answers for a GPU that is not there, with so many bytes free, to be patched in."""
    return (
        (torch.cuda, "device", lambda device: contextlib.nullcontext()),
        (torch.cuda, "device_count", lambda: 1),
        (torch.cuda, "is_available", lambda: True),
        (torch.cuda, "get_device_name", lambda device=None: name),
        (torch.cuda, "mem_get_info", lambda device=None: (free, 80 << 30)),
        (torch.cuda, "empty_cache", lambda: None),
        (torch.cuda, "ipc_collect", lambda: None),
    )


@contextlib.contextmanager
def simulated(scalar: float = 0.5, *, free: int = 70 << 30) -> Iterator[Gauge]:
    """Make ``"cuda:0"`` a fake device with ``free`` bytes of memory until the block ends."""
    gauge = Gauge(scalar)

    def from_numpy(array: np.ndarray) -> torch.Tensor:
        return torch.empty(array.shape, dtype=getattr(torch, str(array.dtype)))

    with contextlib.ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        for target, name, stand_in in (
            (torch, "from_numpy", from_numpy),
            (nn.Module, "to", _to),
            (FakeTensor, "tolist", lambda self: gauge.read_all(self)),
            (one_pass, "compiled", gauge.one_pass),
            *cuda_answers("a simulated GPU", free),
        ):
            stack.enter_context(mock.patch.object(target, name, stand_in))
        stack.enter_context(_Host(gauge))
        stack.enter_context(gauge)
        yield gauge
