"""Networks that a metric declares on its class: once, with the files that they need."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar, cast, overload

from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.networks.loading import load

N = TypeVar("N")
Choice = Callable[[Any], Sequence[Weights]]


class Network(Generic[N]):
    """A network of a metric, loaded when the attribute is first read, or by ``setup()``.

    ::

        class SubjectConsistency(VBenchMetric):
            _network: Network[Dino] = Network("dino-vitb16", ".dino:read", DINO_B16)

    ``loader`` is a function ``module:name`` (a leading dot stands for this package), called with the paths of the
    files, ``device`` and ``options``, attributes of the metric by name. ``files`` are all that any configuration can
    load, in the order of the loader's arguments; ``choose`` returns those of one metric where they depend on it, none
    where it does without the network. ``library`` is a function that raises ``UnavailableError`` without what the
    loader imports: it is asked before a file is fetched. ``bf16`` says that the network, a transformer, computes in
    bfloat16 where that is the precision of the run; it takes and gives float32. Assigning to the attribute gives the
    metric a network of its own.
    """

    def __init__(
        self,
        name: str,
        loader: str,
        *files: Weights,
        choose: Choice | None = None,
        options: Sequence[str] = (),
        library: str | None = None,
        bf16: bool = False,
    ) -> None:
        self.name = name
        self.loader = loader
        self.files = files
        self._choose = choose
        self._options = tuple(options)
        self._library = library
        self.bf16 = bf16

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    @overload
    def __get__(self, metric: None, owner: type) -> Self: ...
    @overload
    def __get__(self, metric: object, owner: type) -> N: ...
    def __get__(self, metric: Any, owner: type) -> Self | N:
        if metric is None:
            return self
        held = vars(metric)
        if self._attribute not in held:
            held[self._attribute] = self.load(metric)
        network = held[self._attribute]
        # Wrapped each time: the network is shared with metrics of runs in another precision.
        return cast(N, _Rounded(network, metric.device) if self.bf16 and metric.run_precision == "bf16" else network)

    def __set__(self, metric: object, network: N) -> None:
        vars(metric)[self._attribute] = network

    def weights(self, metric: Any) -> tuple[Weights, ...]:
        """Return the files that one metric loads; local ones in place of those that its ``local_weights`` names."""
        chosen = self.files if self._choose is None else tuple(self._choose(metric))
        local = getattr(metric, "local_weights", None)  # what declares a network need not be a metric
        return tuple(one.or_local(local.get(one.name)) for one in chosen) if local else chosen

    def load(self, metric: Any) -> N:
        """Return the network for a metric, shared with all that declare it alike.

        Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError`.
        """
        build = _function(self.loader)
        if self._library is not None:
            _function(self._library)()
        options = {name: getattr(metric, name) for name in self._options}
        return cast(N, load(self.name, build, self.weights(metric), metric.device, metric.name, **options))


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module, __package__), name)
    return found


class _Rounded:
    """A network that multiplies in bfloat16 and gives float32."""

    def __init__(self, network: Callable[[Any], Any], device: str) -> None:
        self._network, self._kind = network, device.partition(":")[0]

    def __call__(self, pixels: Any) -> Any:
        """Return what the network gives."""
        import torch

        with torch.autocast(self._kind, torch.bfloat16):
            return self._network(pixels).float()


def networks_of(metric: type) -> Iterator[tuple[str, Network[Any]]]:
    """Yield the networks that a class declares or inherits, by attribute, in the order of declaration."""
    found: dict[str, Any] = {}
    # Bases first, so that a class replaces what it inherits under the same name.
    for cls in reversed(metric.__mro__):
        found.update(vars(cls))
    yield from ((name, one) for name, one in found.items() if isinstance(one, Network))
