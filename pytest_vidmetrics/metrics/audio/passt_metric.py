"""What the metrics on PaSST share: its weights, the network, and the rules by which sound is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.audio.passt_protocol import Protocol
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.passt import Passt


class PasstMetric(BaseMetric):
    """A metric on PaSST-S. A subclass sets ``rules`` and has the constructor argument ``weights``."""

    rules: Protocol
    weights: str | None
    _network: Passt | None = None

    def identity(self) -> dict[str, Any]:
        """Add the rules themselves, so that a changed protocol is another metric."""
        return {**super().identity(), "rules": self.rules.values()}

    def weights_files(self) -> tuple[Weights, ...]:
        """Return the weights of PaSST-S."""
        from pytest_vidmetrics.networks.passt import checkpoint

        return (checkpoint(self.weights),)

    def setup(self) -> None:
        """Load the network, which all metrics on it share."""
        self._loaded()

    def _loaded(self) -> Passt:
        if self._network is None:
            from pytest_vidmetrics.networks.passt import load

            self._network = load(self.weights, self.device, self.name)
        return self._network
