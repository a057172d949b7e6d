"""Published state dicts into classes of transformers: strictly, without a hub and without random initialisation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pytest_vidmetrics.networks.state_files import State, read_state

__all__ = ["State", "assign", "depth", "from_folder", "frozen", "pick", "pretrained", "read_state", "split_rows"]


def pick(state: State, prefixes: Iterable[str]) -> dict[str, torch.Tensor]:
    """Return the float tensors whose key starts with one of ``prefixes``; integer tables are not weights."""
    wanted = tuple(prefixes)
    return {key: value for key, value in state.items() if key.startswith(wanted) and value.is_floating_point()}


def depth(state: State, prefix: str) -> int:
    """Return how many numbered blocks follow ``prefix`` in the keys."""
    return 1 + max(int(key[len(prefix) :].split(".", 1)[0]) for key in state if key.startswith(prefix))


def split_rows(state: State, source: str, targets: Iterable[str]) -> dict[str, torch.Tensor]:
    """Return the row blocks of the stacked matrix (or vector) ``source`` under the names ``targets``."""
    names = list(targets)
    return dict(zip(names, (part.contiguous() for part in state[source].chunk(len(names))), strict=True))


def pretrained(cls: Any, config: Any, state: State, **options: Any) -> nn.Module:
    """Return ``cls(config)`` in evaluation mode with exactly the tensors of ``state``, in float32.

    Key layouts of other releases of transformers are converted by it. Raises ``ValueError`` when a tensor is
    missing, unexpected or of another shape.
    """
    tensors = {key: value.float() for key, value in state.items()}
    with _quiet():
        model, info = cls.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, dtype=torch.float32, **options
        )
    wrong = {kind: sorted(map(str, names)) for kind, names in info.items() if names}
    if wrong:
        raise ValueError(f"the checkpoint does not fit {cls.__name__}: {wrong}")
    return frozen(model)


def from_folder(cls: Any, folder: str | Path, dtype: torch.dtype = torch.float32, **options: Any) -> nn.Module:
    """Return the model of class ``cls`` that a folder holds (settings and weights), frozen and in ``dtype``.

    Nothing is fetched. Raises ``ValueError`` when the weights lack a tensor of the network or have another shape.
    """
    with _quiet():
        model, info = cls.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True, **options
        )
    wrong = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "mismatched_keys") if info.get(kind)}
    if wrong:
        raise ValueError(f"the weights in {folder} do not fit {cls.__name__}: {wrong}")
    return frozen(model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bar of loading off the terminal, which is the test runner's."""
    from transformers.utils import logging

    active = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if active:
            logging.enable_progress_bar()


def assign(module: nn.Module, state: State) -> nn.Module:
    """Give ``module``, which may be on the meta device, exactly the tensors of ``state``, floats in float32.

    Raises ``RuntimeError`` when a tensor is missing, unexpected or of another shape.
    """
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    module.load_state_dict(tensors, strict=True, assign=True)
    return frozen(module)


def frozen(module: nn.Module) -> nn.Module:
    """Return ``module`` in evaluation mode and without gradients."""
    return module.eval().requires_grad_(False)
