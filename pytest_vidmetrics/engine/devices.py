"""Which devices an evaluator uses."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.precision import Precision


def resolve_devices(device: str | Sequence[str], num_gpus: int = 1) -> list[str]:
    """Return one device name per worker.

    ``"auto"`` is the first GPU, or the CPU where there is none; ``num_gpus > 1`` is that many GPUs, whatever
    ``device`` says; a list is one worker per entry, equal entries included. Raises ``ValueError`` for an empty
    list, a name that is no device or ``num_gpus < 1``, and
    :class:`~pytest_vidmetrics.core.errors.UnavailableError` for a GPU that is not there.
    """
    import torch

    if num_gpus < 1:
        raise ValueError(f"num_gpus must be at least 1, got {num_gpus}")
    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if num_gpus > 1:
        names = [f"cuda:{i}" for i in range(num_gpus)]
    elif not isinstance(device, str):
        names = [str(name) for name in device]
    else:
        names = [device]
    if not names:
        raise ValueError("the list of devices is empty")
    return [_resolve(name, visible) for name in names]


def _resolve(name: str, visible: int) -> str:
    if name == "auto":
        return "cuda:0" if visible else "cpu"
    if not name.startswith("cuda"):
        return _known(name)
    family, colon, text = name.partition(":")
    text = text if colon else "0"
    if family != "cuda" or not (text.isascii() and text.isdecimal()):
        raise ValueError(f"device {name!r}: expected 'cuda' or 'cuda:N'")
    if int(text) >= visible:
        raise UnavailableError(f"device {name!r} is not there: {visible} GPUs are visible; 'cpu' needs none")
    # `cuda` and `cuda:0` get one spelling: with two, networks would be loaded twice.
    return f"cuda:{text}"


def _known(name: str) -> str:
    import torch

    try:
        torch.device(name)
    except RuntimeError:  # its message lists every back end that torch was ever built for
        raise ValueError(f"device {name!r}: expected 'auto', 'cpu', 'cuda' or 'cuda:N'") from None
    return name


def described(device: str, precision: Precision) -> str:
    """Return what a record says of a device: a GPU by its name and capability, and how exactly it computes.

    The number of a GPU says nothing on another machine.
    """
    if not device.startswith("cuda"):
        return f"{device} {precision}"
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)} (capability {major}.{minor}) {precision}"
