"""What the metrics on PaSST share: its weights, the network, and the rules by which sound is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.metrics.audio.passt_protocol import Protocol
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.sound import PASST_S

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.passt import Passt


class PasstMetric(BaseMetric):
    """A metric on PaSST-S. A subclass sets ``rules`` and has the constructor argument ``weights``."""

    rules: Protocol
    weights: str | None
    _network: Network[Passt] = Network(
        "passt-s",
        ".passt:read",
        PASST_S,
        choose=lambda metric: [PASST_S.or_local(metric.weights)],
    )

    def identity(self) -> dict[str, Any]:
        """Add the rules themselves, so that a changed protocol is another metric."""
        return {**super().identity(), "rules": self.rules.values()}
