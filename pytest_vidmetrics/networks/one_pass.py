"""Several operations in one pass over the memory of a GPU, where each alone would read and write all of it.

On a processor, and where there is no compiler, they are what they are without: one after the other.
"""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

import torch
import torch.nn.functional as F

P = ParamSpec("P")
R = TypeVar("R")


class OnePass(Generic[P, R]):
    """A function of tensors without convolutions and products, which torch compiles into one kernel for a GPU.

    ``plain`` computes the same where nothing is compiled, ``function`` itself unless it is given. Functions may write
    to tensors they are given; none of those may share memory with another argument, or the compiler would copy them.
    """

    def __init__(self, function: Callable[P, R], plain: Callable[P, R] | None = None) -> None:
        self.function = function
        self._plain = function if plain is None else plain
        self._compiles = True

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the function does. What torch cannot compile is said once and computed plainly from then on."""
        device = next(_tensors(args)).device
        # What is compiled around it fuses it too.
        if device.type == "cpu" or not self._compiles or torch.compiler.is_compiling():
            return self._plain(*args, **kwargs)
        try:
            return compiled(self.function, device.index or 0)(*args, **kwargs)
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        # A compiler, a header or a folder to write to that is missing shows in many ways; what is wrong with the
        # arguments fails below once more.
        except Exception as error:
            self._compiles = False
            if _usable.compiler:
                _usable.compiler = False
                what = str(error).strip().split("\n", 1)[0]
                _warn(f"torch.compile failed ({type(error).__name__}: {what})", "networks of frames take longer")
        return self._plain(*args, **kwargs)


@dataclass
class _Usable:
    """What this process found to work; until then it is taken to."""

    compiler: bool = True
    convolutions: bool = True


_usable = _Usable()


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for one in values:
        if isinstance(one, torch.Tensor):
            yield one
        elif isinstance(one, list | tuple):
            yield from _tensors(one)


@functools.cache
def compiled(function: Callable[P, R], device: int) -> Callable[P, R]:
    """Return a function compiled for tensors of any size on one GPU.

    A copy of its code for each GPU: torch counts how often it compiled a code, and gives up after some times.
    """
    assert isinstance(function, types.FunctionType)
    code = function.__code__.replace(co_name=f"{function.__name__}_{device}")
    copy = types.FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    # One thread: more would be processes, started for a dozen of small kernels.
    made = torch.compile(copy, dynamic=True, fullgraph=True, options={"compile_threads": 1})
    begun = False

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal begun
        if begun:
            return made(*args, **kwargs)
        with warnings.catch_warnings():  # advice on TF32, which is this package's own setting
            warnings.simplefilter("ignore")
            found = made(*args, **kwargs)
        begun = True
        return found

    return run


class Convolution:
    """A convolution that keeps the size of its images, or divides it by ``stride``.

    The channels of a pixel lie together in its weight, and so in what it gives: tensor cores take them as they are.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None, stride: int = 1) -> None:
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias, self.stride = bias, stride

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(N, D, h, w)`` of ``(N, C, H, W)``."""
        return F.conv2d(images, self.weight, self.bias, self.stride, self._padding)

    def rectified(self, images: torch.Tensor, added: torch.Tensor | None = None) -> torch.Tensor:
        """Return the same plus ``added``, negative values set to 0. On a GPU cuDNN does it as it writes the result."""
        if images.device.type == "cpu" or not _usable.convolutions:
            return self._plainly(images, added)
        rest = (self.bias, [self.stride, self.stride], self._padding, [1, 1], 1)
        try:
            if added is None:
                return torch.cudnn_convolution_relu(images, self.weight, *rest)
            return torch.cudnn_convolution_add_relu(images, self.weight, added, 1, *rest)
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except RuntimeError as error:
            found = self._plainly(images, added)
            _usable.convolutions = False
            what = str(error).strip().split("\n", 1)[0]
            _warn(f"cuDNN computes no convolution with what follows it ({what})", "RAFT takes longer")
            return found

    def _plainly(self, images: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
        found = self(images)
        return (found if added is None else found.add_(added)).relu_()

    @property
    def _padding(self) -> list[int]:
        return [side // 2 for side in self.weight.shape[-2:]]


def _warn(fault: str, then: str) -> None:
    warnings.warn(f"{fault}: on this GPU {then}; scores are the same", stacklevel=3)
