"""State dicts in files, whatever their container: the one way in which weights are read in this project."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pytest_vidmetrics.core.cache import is_cached
from pytest_vidmetrics.networks.lazy_tensors import Slice, WeightsFileError, parsing
from pytest_vidmetrics.networks.pickles import Stub
from pytest_vidmetrics.networks.torch_files import read_torch_file

__all__ = ["State", "WeightsFileError", "first_tensor", "read_state", "read_value", "reading_safetensors"]

State = Mapping[str, torch.Tensor]

_HEADER_LIMIT = 100 << 20
"""Of the header of a safetensors file, in bytes: what the format allows."""


def read_state(path: str | Path, container: str | Sequence[str] = (), prefixes: Sequence[str] = ()) -> State:
    """Return the tensors of a file by name: of ``.safetensors``, of a torch file of any age, or of TorchScript.

    Nothing of the file is executed, and no tensor but those that are returned is read. ``container`` is the key (or
    keys, the first that is there counts) under which a torch file holds the state dict; without one, or when none
    is there, it lies at the top. ``prefixes`` keeps the names that start with one of them. Types are those of the
    file; tensors that share memory there share it here. Raises
    :class:`~pytest_vidmetrics.networks.lazy_tensors.WeightsFileError`, which does not name the file.
    """
    path = Path(path)
    wanted = tuple(prefixes) or ("",)
    if path.is_dir():
        raise WeightsFileError("it is a folder, not a file")
    if _is_safetensors(path):
        return _read_safetensors(path, wanted)
    tree = _read_tree(path)
    with parsing():
        return _state_dict(tree, (container,) if isinstance(container, str) else container, wanted)


def read_value(path: str | Path) -> Any:
    """Return the tensor, or the dict or list with tensors, that a torch file holds; deeper ones stay unread."""
    tree = _read_tree(Path(path))
    with parsing():
        if isinstance(tree, dict):
            return {key: _read(one) for key, one in tree.items()}
        return [_read(one) for one in tree] if isinstance(tree, list | tuple) else _read(tree)


def _read(value: Any) -> Any:
    return value.tensor() if isinstance(value, Slice) else value


def _read_tree(path: Path) -> Any:
    # A file that somebody else may write to is read now; one of the cache never changes once it is there.
    return read_torch_file(path, mapped=is_cached(path))


def first_tensor(path: str | Path) -> str:
    """Return how many tensors a file holds, and the name and shape of the first, unread, for messages."""
    path = Path(path)
    if _is_safetensors(path):
        state = _read_safetensors(path, ("",))
        shapes = {name: tuple(value.shape) for name, value in state.items()}
    else:
        tree = _read_tree(path)
        # The top, or one level below it, where torch files usually hold the state dict.
        inside = [tree, *(one for one in _entries(tree).values() if _entries(one))]
        shapes = next(
            ({name: one.size for name, one in found.items()} for one in inside if (found := _slices(one))), {}
        )
    first = "".join(f", the first {name} {shape}" for name, shape in list(shapes.items())[:1])
    return f"{len(shapes)} tensors{first}"


def _is_safetensors(path: Path) -> bool:
    """Whether a file is in that format by its name, or by its first bytes: a length, and JSON of that length."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as stream:
        head = stream.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= _HEADER_LIMIT


def _read_safetensors(path: Path, prefixes: tuple[str, ...]) -> State:
    from safetensors import safe_open

    with reading_safetensors(), safe_open(path, framework="pt") as stream:
        return {name: stream.get_tensor(name) for name in stream.keys() if name.startswith(prefixes)}  # noqa: SIM118


@contextlib.contextmanager
def reading_safetensors() -> Iterator[None]:
    """Turn the error of the library, which is of no common kind, into :class:`WeightsFileError`."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise WeightsFileError(f"not a safetensors file, or a damaged one: {error}") from error


def _state_dict(tree: Any, containers: Sequence[str], prefixes: tuple[str, ...]) -> State:
    """Return the tensors of the state dict in ``tree``."""
    inside = next((found for key in containers if _entries(found := _entries(tree).get(key))), tree)
    slices = _slices(inside)
    if not slices:
        raise WeightsFileError(f"the file holds no state dict but {_described(tree)}")
    chosen = {name: one for name, one in slices.items() if name.startswith(prefixes)}
    # Counted by storage: tensors that share memory go on sharing it.
    sharers = Counter(id(one.storage) for one in chosen.values())
    return {name: _compact(one, sharers[id(one.storage)]) for name, one in chosen.items()}


def _compact(one: Slice, sharers: int) -> torch.Tensor:
    """Return a tensor that does not keep the rest of a larger storage in memory."""
    tensor = one.tensor()
    return tensor.clone() if sharers == 1 and tensor.nbytes < one.storage.nbytes else tensor


def _entries(node: Any) -> Mapping[Any, Any]:
    if isinstance(node, Stub):
        return node.entries or (node.state if isinstance(node.state, dict) else {})
    return node if isinstance(node, dict) else {}


def _slices(root: Any) -> dict[str, Slice]:
    """Return the tensors of a mapping; of a scripted module also those of its submodules, by dotted name."""
    found: dict[str, Slice] = {}
    waiting, seen = [("", root)], {id(root)}
    while waiting:
        prefix, node = waiting.pop()
        below: list[tuple[str, Any]] = []
        for key, value in _entries(node).items():
            name = f"{prefix}.{key}" if prefix else str(key)
            if isinstance(value, Slice):
                found[name] = value
            # A module may hold itself.
            elif isinstance(value, Stub) and isinstance(node, Stub) and id(value) not in seen:
                seen.add(id(value))
                below.append((name, value))
        # Reversed, as the stack gives back the last first: names stay in the order of the file.
        waiting += reversed(below)
    return found


def _described(tree: Any) -> str:
    entries = _entries(tree)
    if entries:
        keys = ", ".join(repr(key)[:60] for key in list(entries)[:5] if isinstance(key, str))
        return f"{len(entries)} entries ({keys}{', ...' if len(entries) > 5 else ''})"
    return f"the object {tree.kind[:100]}" if isinstance(tree, Stub) else f"a {type(tree).__name__}"
