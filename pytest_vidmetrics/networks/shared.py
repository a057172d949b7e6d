"""Networks that several metrics use: loaded once per device, run once per sample.

A metric asks for its network with :func:`load` and wraps a forward pass in :func:`once`. Two metrics that give
the same key share the instance and, within one sample, the output.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_vidmetrics.core.devices import spelled

if TYPE_CHECKING:
    import numpy as np
    import torch

T = TypeVar("T")


class Keeper(Protocol):
    """What outlives a sample and a process: the store of the engine. Keys are sha256 digests of all inputs."""

    def get_json(self, kind: str, key: str) -> Any:
        """Return a JSON body, or ``None`` when it is absent."""

    def put_json(self, kind: str, key: str, body: Any) -> Any:
        """Keep a JSON body."""

    def get_rows(self, key: str) -> np.ndarray | None:
        """Return an array, or ``None`` when it is absent."""

    def put_rows(self, key: str, rows: np.ndarray) -> None:
        """Keep an array."""


Provider = Callable[[str, str], Any]
"""Called with the name of a network and a device; returns the network or ``None``."""

loads: Counter[Hashable] = Counter()
"""How often each network was built, by key."""
forwards: Counter[Hashable] = Counter()
"""How often each forward pass was computed, by key."""

_instances: dict[Hashable, Any] = {}
_users: dict[Hashable, set[str]] = {}
_tables: dict[Hashable, Any] = {}
_building: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()
_providers: list[Provider] = []
_scope = threading.local()


def load(name: str, device: object, build: Callable[[], T], *variant: Hashable) -> T:
    """Return the network ``name`` on ``device``, built by the first caller.

    ``variant`` is whatever else tells two networks apart: weights, layers, dtype. The network is shared: callers
    must not change it. A provider (see :func:`add_provider`) goes before ``build``. Who asks inside of :func:`using`
    is noted for :func:`drop`.
    """
    where = spelled(device)
    key = (name, where, *variant)
    with _guard:
        # One lock for each network: two are built at the same time, one is never built twice.
        lock = _building.setdefault(key, threading.Lock())
    with lock:
        if key not in _instances:
            given = next((found for ask in _providers if (found := ask(name, where)) is not None), None)
            _instances[key] = build() if given is None else given
            loads[key] += 1
        with _guard:
            _users.setdefault(key, set()).add(getattr(_scope, "user", ""))
        instance: T = _instances[key]
    return instance


def table(name: str, device: object, make: Callable[[], torch.Tensor], *variant: Hashable) -> torch.Tensor:
    """Return a constant tensor on a device, made and copied there by the first caller.

    Every copy of a few numbers to a GPU waits for all that the GPU still has to do. ``make`` returns the tensor on the
    host; ``variant`` is what else tells two constants of one name apart: values, sizes. Callers must not change it.
    """
    import torch

    key = (name, str(device), *variant)
    if (found := _tables.get(key)) is None:
        # Made in inference mode, it could not be used outside of it.
        with torch.inference_mode(False):
            # Two threads may make it; both then use the one that came first.
            found = _tables.setdefault(key, make().to(torch.device(str(device))))
    made: torch.Tensor = found
    return made


def per_channel(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """Return ``(C, 1, 1)`` constants of the device and the dtype of ``like``."""
    import torch

    def make() -> torch.Tensor:
        return torch.tensor(values, dtype=like.dtype).view(-1, 1, 1)

    return table("per channel", like.device, make, tuple(values), like.dtype)


def once(key: Hashable, compute: Callable[[], T], *, of: object = None) -> T:
    """Return ``compute()``, computed once per key while one sample is scored.

    ``key`` names the network, its device, the preprocessing and which frames. ``of`` is the tensor that goes in,
    told apart by identity: a set metric sees a clip and its reference under the same name, so it has to pass it.
    The value is shared: callers must not change it in place. Outside of :func:`sample_scope` nothing is remembered.
    """
    memory: dict[Hashable, Any] | None = getattr(_scope, "memory", None)
    if memory is None:
        forwards[key] += 1
        return compute()
    where = (key, id(of))
    if where not in memory:
        forwards[key] += 1
        # The input is kept too, so that its identity is not given to another object meanwhile.
        memory[where] = (compute(), of)
    value: T = memory[where][0]
    return value


@contextlib.contextmanager
def sample_scope(keeper: Keeper | None = None, company: Iterable[str] = ()) -> Iterator[None]:
    """Remember forward passes of this thread until the block ends; the engine opens one per sample.

    ``keeper`` is what :func:`keeper` returns meanwhile, ``company`` what :func:`company` does.
    """
    # Put back at the end: scopes may nest.
    outer = vars(_scope).copy()
    _scope.memory, _scope.keeper, _scope.company = {}, keeper, frozenset(company)
    try:
        yield
    finally:
        vars(_scope).clear()
        vars(_scope).update(outer)


def keeper() -> Keeper | None:
    """Return where values of the sample at hand can be kept for later samples and processes, if anywhere."""
    found: Keeper | None = getattr(_scope, "keeper", None)
    return found


def company() -> frozenset[str]:
    """Return the names of the metrics that look at the sample at hand, as far as they are known."""
    found: frozenset[str] = getattr(_scope, "company", frozenset())
    return found


@contextlib.contextmanager
def using(user: str) -> Iterator[None]:
    """Note ``user``, the name of a metric, with every network that this thread asks for until the block ends."""
    outer = getattr(_scope, "user", "")
    _scope.user = user
    try:
        yield
    finally:
        _scope.user = outer


def drop(device: object, keep: Container[str]) -> list[Any]:
    """Forget the networks on a device that only users beside ``keep`` asked for, and return them.

    What was asked for outside of :func:`using` stays.
    """
    where = spelled(device)
    with _guard:
        idle = [
            key
            for key, users in _users.items()
            if isinstance(key, tuple) and key[1] == where and not any(user == "" or user in keep for user in users)
        ]
        for key in idle:
            del _users[key]
            _building.pop(key, None)
        return [_instances.pop(key) for key in idle]


def add_provider(provider: Provider) -> None:
    """Let ``provider`` supply networks instead of their builders, in the order of the calls."""
    _providers.append(provider)


def remove_provider(provider: Provider) -> None:
    """Undo :func:`add_provider`; networks that were supplied stay loaded until :func:`clear`."""
    _providers.remove(provider)


def clear() -> None:
    """Forget every network and constant, so that their memory is freed when the metrics that use them are gone."""
    with _guard:
        _instances.clear()
        _users.clear()
        _tables.clear()
        _building.clear()
