"""Published state dicts into classes of transformers: strictly, without a hub and without random initialisation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pytest_vidmetrics.networks.state_files import State, read_state, reading_safetensors

__all__ = [
    "HEAD_WIDTH",
    "MisfitError",
    "State",
    "assign",
    "check",
    "depth",
    "from_folder",
    "frozen",
    "pick",
    "pretrained",
    "read_state",
    "split_rows",
]

HEAD_WIDTH = 64
"""Of the attention of every transformer here; a state dict does not tell."""
Shape = tuple[int, ...] | None
"""Of a tensor; ``None`` when it is not known."""


class MisfitError(ValueError):
    """Tensors that are not those of a network; the message names the first that is missing, unexpected or reshaped."""

    def __init__(
        self,
        network: str,
        missing: Mapping[str, Shape],
        unexpected: Mapping[str, Shape] | None = None,
        reshaped: Mapping[str, tuple[Shape, Shape]] | None = None,
    ) -> None:
        parts = [_first("is missing", missing), _first("is not expected", unexpected or {})]
        for name, (held, wanted) in list((reshaped or {}).items())[:1]:
            parts.append(f"{name} has the shape {held}, {wanted} expected{_more(len(reshaped or {}))}")
        super().__init__(f"it does not fit {network}: {', '.join(part for part in parts if part)}")


def _first(what: str, tensors: Mapping[str, Shape]) -> str:
    if not tensors:
        return ""
    name, shape = next(iter(tensors.items()))
    return f"{name}{f' {shape}' if shape is not None else ''} {what}{_more(len(tensors))}"


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def pick(state: State, prefixes: Iterable[str]) -> dict[str, torch.Tensor]:
    """Return the float tensors whose key starts with one of ``prefixes``; integer tables are not weights."""
    wanted = tuple(prefixes)
    return {key: value for key, value in state.items() if key.startswith(wanted) and value.is_floating_point()}


def depth(state: State, prefix: str) -> int:
    """Return how many numbered blocks follow ``prefix`` in the keys. Raises :class:`MisfitError` when none does."""
    if not any(key.startswith(prefix) for key in state):
        raise MisfitError("the network", {f"{prefix}0...": None}, _shapes(state))
    return 1 + max(int(key[len(prefix) :].split(".", 1)[0]) for key in state if key.startswith(prefix))


def split_rows(state: State, source: str, targets: Iterable[str]) -> dict[str, torch.Tensor]:
    """Return the row blocks of the stacked matrix (or vector) ``source`` under the names ``targets``."""
    names = list(targets)
    return dict(zip(names, (part.contiguous() for part in state[source].chunk(len(names))), strict=True))


def pretrained(cls: Any, config: Any, state: State, **options: Any) -> nn.Module:
    """Return ``cls(config)`` in evaluation mode with exactly the tensors of ``state``, in float32.

    Key layouts of other releases of transformers are converted by it. Raises :class:`MisfitError` when a tensor is
    missing, unexpected or of another shape.
    """
    tensors = {key: value.float() for key, value in state.items()}
    with _quiet():
        model, info = cls.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, dtype=torch.float32, **options
        )
    _fitting(cls, model, info, state)
    return frozen(model)


def _fitting(cls: Any, model: nn.Module, info: Mapping[str, Any], state: State, *, surplus: bool = False) -> None:
    """Raise :class:`MisfitError` for what transformers says was wrong; ``surplus`` lets unexpected tensors pass."""
    shapes, held = _shapes(model.state_dict()), _shapes(state)
    missing = {str(name): shapes.get(str(name)) for name in sorted(map(str, info.get("missing_keys") or ()))}
    unexpected = {} if surplus else {name: held.get(name) for name in sorted(info.get("unexpected_keys") or ())}
    reshaped = {str(one[0]): (tuple(one[1]), tuple(one[2])) for one in sorted(info.get("mismatched_keys") or ())}
    if missing or unexpected or reshaped:
        raise MisfitError(cls.__name__, missing, unexpected, reshaped)
    if info.get("error_msgs"):
        raise ValueError(f"it does not fit {cls.__name__}: {info['error_msgs'][0]}")


def _shapes(state: State) -> dict[str, Shape]:
    return {name: tuple(value.shape) for name, value in state.items()}


def from_folder(cls: Any, folder: str | Path, dtype: torch.dtype = torch.float32, **options: Any) -> nn.Module:
    """Return the model of class ``cls`` that a folder holds (settings and weights), frozen and in ``dtype``.

    Nothing is fetched and no code of the folder is run. Raises :class:`MisfitError` when the weights lack a tensor of
    the network or have another shape.
    """
    with _quiet(), reading_safetensors():
        model, info = cls.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    _fitting(cls, model, info, {}, surplus=True)
    return frozen(model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bar and the report of loading off the terminal, which is the test runner's."""
    from transformers.utils import logging

    # Put back: the settings are those of the whole process.
    active, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if active:
            logging.enable_progress_bar()


def assign(module: nn.Module, state: State) -> nn.Module:
    """Give ``module``, which may be on the meta device, exactly the tensors of ``state``, floats in float32.

    Raises :class:`MisfitError` when a tensor is missing, unexpected or of another shape.
    """
    check(type(module).__name__, state, _shapes(module.state_dict()))
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    # `assign` takes the tensors as they are: a module on the meta device gets memory only now.
    module.load_state_dict(tensors, strict=True, assign=True)
    return frozen(module)


def check(network: str, state: State, wanted: Mapping[str, Shape]) -> None:
    """Raise :class:`MisfitError` unless ``state`` has exactly the tensors of these names and shapes."""
    held = _shapes(state)
    # Compared before loading, so that the first fault is named with its shapes.
    missing = {name: shape for name, shape in wanted.items() if name not in held}
    unexpected = {name: shape for name, shape in held.items() if name not in wanted}
    reshaped = {name: (held[name], wanted[name]) for name in wanted if name in held and held[name] != wanted[name]}
    if missing or unexpected or reshaped:
        raise MisfitError(network, missing, unexpected, reshaped)


def frozen(module: nn.Module) -> nn.Module:
    """Return ``module`` in evaluation mode and without gradients."""
    return module.eval().requires_grad_(False)
