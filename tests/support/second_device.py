"""A device that computes, without one: tensors on ``cuda:0`` whose numbers lie on the processor.

Where :mod:`.fake_cuda` has no numbers, this has all of them: for networks that go on with what they find out, word by
word. An operation on tensors of both devices fails, as it would on a GPU. It shows no waits, seconds or memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.support.fake_cuda import cuda_answers

_IN_PLACE = ("copy_", "index_put_", "_index_put_impl_")
_MAY_MIX = ("_to_copy", "index", "index_put", *_IN_PLACE)
"""Copies from one device to the other, and places that may lie on the host."""
_DEVICE = torch.device("cuda:0")
_CHOSEN = ("scaled_dot_product_attention", "grid_sample", "grid_sampler")
"""Torch chooses the kernels of these by the device before it dispatches."""
_READS = ("tolist", "item", "__float__", "__int__", "__bool__", "__index__")


class OnDevice(torch.Tensor):
    """A tensor of the device; ``inner`` are its numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnDevice:
        # Of meta, so that torch asks no driver; what it says of itself is cuda:0.
        shell = torch.empty_strided(inner.size(), inner.stride(), dtype=inner.dtype, device="meta")
        made: OnDevice = torch.Tensor._make_subclass(
            cls, shell, False, dispatch_device=True, device_for_backend_keys=_DEVICE
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"OnDevice({tuple(self.inner.shape)})"

    def __format__(self, spec: str) -> str:
        return repr(self)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnDevice) else value


def _place(index: Any) -> Any:
    """Return an index as torch needs it to ask no driver: numbers in slices, tensors for lists."""
    if isinstance(index, tuple):
        return tuple(map(_place, index))
    if isinstance(index, list):
        return torch.tensor(index)
    if isinstance(index, slice):
        return slice(*(int(one) if isinstance(one, OnDevice) else one for one in (index.start, index.stop, index.step)))
    return index


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute on the processor; what comes out lies where it would lie."""
    if func is torch.ops.prim.device.default:
        return _DEVICE if isinstance(args[0], OnDevice) else torch.device("meta")
    name = func.overloadpacket.__name__
    given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    inside = [one for one in given if isinstance(one, OnDevice)]
    # A number of the host may meet tensors of the device, as on a GPU.
    outside = any(one.dim() for one in given if not isinstance(one, OnDevice))
    if inside and outside and name not in _MAY_MIX:
        raise RuntimeError(f"{name} of tensors on cuda:0 and cpu: a device mismatch")
    device = kwargs.get("device")
    plain = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    if device is not None and torch.device(device).type == "cuda":
        plain["device"] = torch.device("cpu")
    out = func(*tree_map(_inner, args), **tree_map(_inner, plain))
    first = args[0] if args else None
    stays = isinstance(first, OnDevice) if name in _IN_PLACE else bool(inside)
    if not (torch.device(device).type == "cuda" if device is not None else stays):
        return out
    held = {id(one.inner): one for one in inside}
    return tree_map(lambda one: held.get(id(one), OnDevice(one)) if isinstance(one, torch.Tensor) else one, out)


class _Dispatch(TorchDispatchMode):
    """Sees what makes tensors, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """What torch asks a driver for before any dispatch: new tensors, moves, and the choice of some kernels."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _READS and isinstance(args[0], OnDevice):
            return getattr(args[0].inner, name)()
        if name in ("numpy", "__array__") and isinstance(args[0], OnDevice):
            raise TypeError("a tensor on cuda:0 has no numpy array: a device mismatch")
        if name in ("__getitem__", "__setitem__"):
            args = (args[0], _place(args[1]), *args[2:])
        if name in ("to", "cuda") and isinstance(args[0], torch.Tensor):
            kwargs = {key: value for key, value in kwargs.items() if key != "copy"}
            device, dtype, _, _ = (
                torch._C._nn._parse_to(*args[1:], **kwargs) if name == "to" else ("cuda:0", *[None] * 3)
            )
            if device is not None and torch.device(device).type == "cuda":
                inner = _inner(args[0]).to(dtype=dtype)
                same = isinstance(args[0], OnDevice) and inner is args[0].inner
                return args[0] if same else OnDevice(inner if isinstance(args[0], OnDevice) else inner.clone())
        elif torch.device(kwargs.get("device") or "cpu").type == "cuda":
            return OnDevice(_inner(func(*args, **{**kwargs, "device": "cpu"})))
        elif name in _CHOSEN:
            given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
            if any(isinstance(one, OnDevice) for one in given):
                if not all(isinstance(one, OnDevice) for one in given):
                    raise RuntimeError(f"{name} of tensors on cuda:0 and cpu: a device mismatch")
                return OnDevice(func(*tree_map(_inner, args), **tree_map(_inner, kwargs)))
        return func(*args, **kwargs)


def _to(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """Do what ``Module.to`` does: parameters of another class cannot be put in place."""
    device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
    for part in module.modules():
        for group in (part._parameters, part._buffers):
            for key, old in group.items():
                if old is not None:
                    new = old.detach().to(device=device, dtype=dtype if old.is_floating_point() else None)
                    group[key] = nn.Parameter(new, requires_grad=False) if isinstance(old, nn.Parameter) else new
    return module


@contextlib.contextmanager
def second_device(free: int = 70 << 30) -> Iterator[None]:
    """Make ``"cuda:0"`` such a device until the block ends."""
    with contextlib.ExitStack() as stack:
        for target, name, stand_in in (
            (nn.Module, "to", _to),
            (
                torch,
                "inference_mode",
                lambda mode=True: torch.no_grad(),
            ),  # inference tensors cannot have a second class
            *cuda_answers("no device", free),
            (torch.Tensor, "pin_memory", lambda tensor, *args: tensor),
        ):
            stack.enter_context(mock.patch.object(target, name, stand_in))
        torch._C._ensureCUDADeviceGuardSet()  # guards of a device that is not there do nothing, as for fake tensors
        stack.enter_context(_Calls())
        stack.enter_context(_Dispatch())
        yield
