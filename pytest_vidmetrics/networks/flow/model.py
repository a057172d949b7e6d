"""Which flow network a metric asks for, known without loading torch: a list of the metrics names its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.networks.published.video import DPFLOW, RAFT_THINGS

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FlowModel:
    """Which network, trained on what: part of the identity of every score.

    ``"raft_large"`` (``"things"``; arXiv 2003.12039) comes with torchvision. ``"dpflow"`` (arXiv 2503.14880) needs
    the library ptlflow. Raises ``ValueError`` for another name.
    """

    model_name: str = "raft_large"
    ckpt: str = "things"

    def __post_init__(self) -> None:
        """Check the names."""
        known = {"raft_large": ("things",), "dpflow": tuple(DPFLOW)}
        one_of("model_name", self.model_name, known)
        if self.ckpt not in known[self.model_name]:
            raise ValueError(f"ckpt of {self.model_name} is one of {known[self.model_name]}, not {self.ckpt!r}")

    def checkpoint(self) -> Weights:
        """Return the weights."""
        return RAFT_THINGS if self.model_name == "raft_large" else DPFLOW[self.ckpt]

    def check(self, who: str, height: int, width: int, device: torch.device | str) -> None:
        """Refuse frames that are too small for the network, or too large for the memory.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError`; ``who`` is the metric it names.
        """
        from pytest_vidmetrics.networks.flow import dpflow
        from pytest_vidmetrics.networks.flow import raft as raft_things
        from pytest_vidmetrics.networks.flow.memory import check_memory

        is_raft = self.model_name == "raft_large"
        least = raft_things.SMALLEST - raft_things.DIVISOR + 1 if is_raft else dpflow.SMALLEST
        if min(height, width) < least:
            raise IncompatibleSampleError(
                f"{who} needs frames of at least {least} pixels a side, got {height} x {width}: {self.model_name}'s "
                "coarsest level would be one pixel wide"
            )
        if is_raft:
            check_memory(who, height, width, device)
