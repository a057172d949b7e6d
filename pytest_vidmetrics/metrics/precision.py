"""How exactly a metric multiplies, and whether that makes it another metric."""

from __future__ import annotations

from typing import ClassVar, Self

from pytest_vidmetrics.core.precision import Precision, in_effect
from pytest_vidmetrics.networks.declared import networks_of


class Precise:
    """The precision of a metric's products, as the engine sets it, and how far a coarser one moves the score.

    A change above the noise floor makes another metric: the precision is then part of its identity. So it is where
    nobody measured the change of a network, or of a set's features. fp32 is in no identity.
    """

    noise_floor: ClassVar[float]
    is_set_metric: ClassVar[bool]

    run_precision: Precision | None = None
    """How exact products are, once :meth:`run_in` was called."""
    bf16_change: ClassVar[float | None] = None
    """How far bfloat16 in the networks that use it moves the score."""
    tf32_change: ClassVar[float | None] = None
    """How far TF32 moves a score of a usual size (of an LPIPS of 0.3, say). Give it for a metric that multiplies on a
    GPU without a declared network."""

    def run_in(self, asked: Precision | None, device: str) -> Self:
        """Set the precision of a run that asked for one, or for none, on a device. Called before a score is keyed.

        Only networks that say so compute in bfloat16: for a metric without one it is what its device has instead.
        """
        precision = in_effect(asked, device)
        without = precision == "bf16" and not any(network.bf16 for _, network in networks_of(type(self)))
        self.run_precision = in_effect(None, device) if without else precision
        return self

    def is_moved_by_tf32(self) -> bool:
        """Whether TF32 moves the score by more than noise, or nobody has measured how far."""
        if self.tf32_change is not None:
            return self.tf32_change > self.noise_floor
        loads = any(network.weights(self) for _, network in networks_of(type(self)))
        return self.is_set_metric or loads

    def rounding(self) -> dict[str, str]:
        """Return what the precision adds to the identity: itself, where it moves the score by more than noise."""
        if self.run_precision == "tf32" and self.is_moved_by_tf32():
            return {"precision": "tf32"}
        if self.run_precision != "bf16":
            return {}
        if self.bf16_change is None or self.bf16_change > self.noise_floor:
            return {"precision": "bf16"}
        return {}
