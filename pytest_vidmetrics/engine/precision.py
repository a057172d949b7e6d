"""Setting the precision of a process for as long as something is computed, and putting back what was there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from pytest_vidmetrics.core.precision import Precision

_changed = threading.Condition()
_inside: list[str] = []
"""The products of each computation that is running: equal ones, as torch's switches are the whole process's."""
_found: list[tuple[Any, str, Any]] = []
"""What the program had set before the first of them: owner, name and value of each switch."""
_mine = threading.local()


@contextlib.contextmanager
def applied(precision: Precision, device: str) -> Iterator[None]:
    """Compute in a precision until the block ends; what a program set for itself is then back.

    On a GPU convolutions and matrix products of float32 are alike: rounded to TF32, or with ``"fp32"`` not at all. With
    ``"bf16"`` networks that say so compute in bfloat16, which :class:`~pytest_vidmetrics.networks.declared.Network`
    sees to. A thread that asks for other products than those that are being computed waits. Raises ``RuntimeError``
    inside a block with other products of the same thread.
    """
    products = "tf32" if precision != "fp32" and device.startswith("cuda") else "fp32"
    depth: int = getattr(_mine, "depth", 0)
    # Waiting would never end: the products that run are this thread's own.
    if depth and _inside[0] != products:
        raise RuntimeError(f"one thread cannot compute in {products} while it computes in {_inside[0]}")
    with _changed:
        # Switches belong to the process: threads with equal products go together, others wait.
        _changed.wait_for(lambda: not _inside or _inside[0] == products)
        # Read before the first change; blocks inside find what the first one set.
        if not _inside:
            _found.extend(_switches())
            _set(products == "tf32")
        _inside.append(products)
    _mine.depth = depth + 1
    try:
        yield
    finally:
        _mine.depth = depth
        with _changed:
            _inside.pop()
            if not _inside:
                # The last one out puts back, in the order in which the switches were read.
                for owner, name, value in _found:
                    setattr(owner, name, value)
                _found.clear()
                _changed.notify_all()


def _set(tf32: bool) -> None:
    import torch

    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


def _switches() -> Iterator[tuple[Any, str, Any]]:
    """Yield what is to be put back, in this order: torch's older switches, which move the newer ones, then these.

    An older switch cannot be read where a program set a newer one that it contradicts; then only these count.
    """
    import torch

    class Matmul:
        @property
        def precision(self) -> str:
            return torch.get_float32_matmul_precision()

        @precision.setter
        def precision(self, value: str) -> None:
            torch.set_float32_matmul_precision(value)

    for owner, name in ((Matmul(), "precision"), (torch.backends.cudnn, "allow_tf32")):
        with contextlib.suppress(RuntimeError):
            yield owner, name, getattr(owner, name)
    for owner in (
        torch.backends.cuda.matmul,
        torch.backends.cudnn.conv,
        torch.backends.cudnn.rnn,
        torch.backends.mkldnn.matmul,
    ):
        yield owner, "fp32_precision", owner.fp32_precision
