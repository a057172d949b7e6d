"""DPFlow (arXiv 2503.14880) as the library ptlflow holds it: what FastVideo measures flow with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.networks import state_dicts as hf

SMALLEST = 33
"""Fewest pixels of a side: below, the coarsest maps have one value, which normalisation makes NaN."""


class DPFlow:
    """The network. ``state`` is the published state dict. Raises ``UnavailableError`` without ptlflow."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        library = _library()
        # The library draws its parameters, which must not move anybody's random numbers.
        with torch.random.fork_rng(devices=[]):
            self._model: Any = library.get_model("dpflow")
        hf.assign(self._model, state).to(device)

    def __call__(self, frames: torch.Tensor) -> tuple[torch.Tensor, tuple[Any, ...]]:
        """Return the ``(n - 1, 2, H, W)`` flow of ``(n, 3, H, W)`` uint8 RGB frames, and the index of all of it."""
        backwards = frames.flip(1).float() / 255  # the library reads blue, green, red
        pairs = torch.stack([backwards[:-1], backwards[1:]], dim=1).contiguous()
        with torch.inference_mode():
            # Not forward(): when memory runs out it goes on with another correlation, which gives other numbers.
            flow = self._model.forward_flow({"images": pairs})["flows"][:, 0]
        return flow, (...,)


def _library(name: str = "ptlflow") -> ModuleType:
    if importlib.util.find_spec(name) is None:
        raise UnavailableError(f"model_name='dpflow' needs {name}: pip install 'ptlflow>=0.4'")
    return importlib.import_module(name)


def check() -> None:
    """Raise :class:`~pytest_vidmetrics.core.errors.UnavailableError` when the library is missing."""
    _library()


def read(path: Path, device: torch.device | str) -> DPFlow:
    """Return the network of a file of weights: ``state_dict`` beside settings that are not read."""
    return DPFlow(hf.read_state(path, "state_dict"), device)
