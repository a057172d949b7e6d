"""Metrics set up on one device: each configuration once, and why one cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container

from pytest_vidmetrics.core.errors import UnavailableError, VidmetricsError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.precision import Precision
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.engine import memory
from pytest_vidmetrics.engine.faults import fault
from pytest_vidmetrics.engine.identity import identity_of, weights_of
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.declared import networks_of

Instance = Callable[[BaseMetric], BaseMetric]
"""Returns the metric to set up for one that is asked for."""


class ReadyMetrics:
    """The metrics of one device. ``compile`` compiles the networks that a metric declares, or exposes as ``_model``."""

    def __init__(self, instance: Instance | None = None, *, compile: bool = False) -> None:
        self._instance, self._compile = instance, compile
        self._loaded: dict[str, BaseMetric] = {}
        self._broken: dict[str, MetricResult] = {}
        self._weights: dict[Weights, str] = {}

    @property
    def loaded(self) -> list[BaseMetric]:
        """The metrics that are set up."""
        return list(self._loaded.values())

    def clear(self) -> None:
        """Forget them, and what could not be set up."""
        self._loaded.clear()
        self._broken.clear()

    def load(self, metric: BaseMetric, device: str, precision: Precision) -> BaseMetric:
        """Return the metric set up, once per configuration. Raises what its ``setup()`` raises.

        Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` where its results are keyed by another precision
        than that of the device: the run took the device for another one than it is.
        """
        key = _configuration(metric)
        if key not in self._loaded:
            keyed = metric.rounding() if metric.run_precision is not None else None
            found = (self._instance(metric) if self._instance else metric).to(device).run_in(precision, device)
            if keyed is not None and found.rounding() != keyed:
                raise VidmetricsError(
                    f"{metric.name} computes in {found.run_precision} on {device}, and its results would be kept as "
                    f"those of {keyed.get('precision', 'fp32')}: name the device, --vidmetrics-device={device}"
                )
            # So that networks loaded meanwhile are known to belong to this metric.
            with shared.using(metric.name):
                found.setup()
            if self._compile:
                _compile(found)
            self._loaded[key] = found
        return self._loaded[key]

    def make_room(self, device: str, keep: Container[str]) -> bool:
        """Forget the networks that only other metrics than those named use; return whether there were any.

        They are loaded again when one of these metrics is asked for.
        """
        dropped = {id(network) for network in shared.drop(device, keep)}
        for key, metric in list(self._loaded.items()):
            held = [name for name, _ in networks_of(type(metric)) if id(vars(metric).get(name)) in dropped]
            for attribute in held:
                # A declared network loads itself again when its attribute is read.
                del vars(metric)[attribute]
            if held:
                del self._loaded[key]
        return bool(dropped)

    def broken(self, metric: BaseMetric) -> MetricResult | None:
        """Return why a metric could not be set up before, if so."""
        # As long as nothing is broken, nothing has to be hashed.
        return self._broken.get(_configuration(metric)) if self._broken else None

    def give_up(self, metric: BaseMetric, error: BaseException) -> MetricResult:
        """Return why a metric cannot be set up. It is not tried again, except that memory may come back."""
        problem = fault(metric.name, error)
        if not memory.ran_out(error):
            self._broken[_configuration(metric)] = problem
        return problem

    def weights(self, metric: BaseMetric) -> dict[str, str]:
        """Return ``{name: sha256}`` of what a metric loads: the same answer as long as this process runs.

        A network that is loaded stays in memory when its file is replaced, so that its results would be stored under
        the new file's name. Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for a file that was
        replaced, and ``UnavailableError`` for one that is missing.
        """
        found = weights_of(metric)
        for one in metric.weights_files():
            first, now = self._weights.setdefault(one, found[one.name]), found[one.name]
            if first != now:
                raise VidmetricsError(
                    f"the weights {one.name} changed during the run (sha256 {first[:12]} at first, "
                    f"{now[:12]} now): run again"
                )
        return found


def _compile(metric: BaseMetric) -> None:
    """Compile a metric's networks where they are: others that share a network share its compiled form."""
    import torch
    from torch import nn

    model = getattr(metric, "_model", None)
    # A method that is called `_model` is not a network.
    if model is not None and not inspect.ismethod(model):
        metric._model = torch.compile(model)  # type: ignore[attr-defined]
    for name, network in networks_of(type(metric)):
        if not network.weights(metric):
            continue
        held = vars(metric).get(name)
        parts = [held] if isinstance(held, nn.Module) else list(getattr(held, "__dict__", {}).values())
        for part in parts:
            if isinstance(part, nn.Module):
                part.compile()


def _configuration(metric: BaseMetric) -> str:
    """Return what two metrics share that may be set up as one: parameters and weights."""
    try:
        return digest_json([identity_of(metric), weights_of(metric)])
    # Weights that are not there have no hash, and the metric is one configuration all the same.
    except UnavailableError:
        return digest_json([identity_of(metric), None])
    except (TypeError, ValueError):  # parameters that JSON has no form for
        return f"{metric.name} {id(metric)}"
