"""How every network gets into memory: its files found, read, and refused alike, and the result shared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.networks import shared

N = TypeVar("N")


def load(
    name: str,
    build: Callable[..., N],
    files: Sequence[Weights],
    device: object,
    metric: str | None = None,
    **options: Any,
) -> N:
    """Return the shared network ``name`` on a device, built by ``build(*paths, device=device, **options)``.

    Metrics with equal files and options share it. ``metric`` is who asks, for the error message. Raises
    :class:`~pytest_vidmetrics.core.errors.UnavailableError` for a file that is missing or holds something else.
    """
    paths = [resolve(one, metric) for one in files]

    def built() -> N:
        with refusing(name, files, paths):
            return build(*paths, device=device, **options)

    # Options are sorted, as they are part of a key.
    return shared.load(name, device, built, *map(str, paths), *sorted(options.items()))


@contextlib.contextmanager
def refusing(name: str, files: Sequence[Weights], paths: Sequence[Path]) -> Iterator[None]:
    """Turn what tensors of another network, or damaged bytes, raise in a builder into one error.

    It names the files, what is wrong with them, and the command that fetches them again. Memory that runs out and
    faults of a device are not the files' and pass.
    """
    # A file that is replaced while it is read would be half old and half new.
    before = [_state(path) for path in paths]
    try:
        yield
        changed = [path for path, state in zip(paths, before, strict=True) if _state(path) != state]
        if changed:
            raise UnavailableError(f"{changed[0]} changed while it was read: run again")
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RuntimeError) as error:
        if of_the_device(error):
            raise
        fault = f"the tensor {error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else str(error)
        held = f"; {_held(paths)}" if isinstance(error, KeyError) else ""
        folder = len(paths) > 2 and len({path.parent for path in paths}) == 1
        named = [str(paths[0].parent)] if folder else [str(path) for path in paths]
        raise UnavailableError(
            f"{' and '.join(named)} {'does' if len(named) == 1 else 'do'} not hold the weights of {name}: "
            f"{fault or type(error).__name__}{held}. {_advice(files)}"
        ) from error


def _state(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def of_the_device(error: Exception) -> bool:
    """Whether an error is about a device, its memory or its faults, and not about the files that were read."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | torch.AcceleratorError)


def _held(paths: Sequence[Path]) -> str:
    """Return what the files hold instead, as far as it can be read."""
    from pytest_vidmetrics.networks.state_files import WeightsFileError, first_tensor

    found: list[str] = []
    for path in paths:
        with contextlib.suppress(WeightsFileError, OSError):
            found.append(first_tensor(path))
    return f"{'it holds' if len(paths) == 1 else 'they hold'} {' and '.join(found) or 'no tensors'}"


def _advice(files: Sequence[Weights]) -> str:
    fetched = [one.name for one in files if one.kind() != "path" and one.overridden() is None]
    if fetched:
        return f"Fetch again with: vidmetrics fetch --again {' '.join(fetched)}"
    named = list(dict.fromkeys(f"${one.override}" for one in files if one.overridden() is not None))
    return f"Set {' and '.join(named)} to another file" if named else "Give another file"
