"""Names of metrics: registration, groups, discovery, and what to say when a name is not known."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pytest_vidmetrics.core.entry_points import load_all
from pytest_vidmetrics.core.errors import UnavailableError, closest
from pytest_vidmetrics.core.names import word_fault
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric

ENTRY_POINT_GROUP = "pytest_vidmetrics.metrics"
_FAMILIES = ("common", "video", "vbench", "audio", "optical_flow", "physics_iq", "videoscore2", "judge")
_EXTRAS = {"common.cvvdp": "cvvdp", "audio": "audio", "videoscore2": "vlm", "judge": "vlm"}
_registry: dict[str, type[BaseMetric]] = {}
_discovered = False

M = TypeVar("M", bound=type[BaseMetric])


def register(name: str) -> Callable[[M], M]:
    """Class decorator that makes a metric known as ``name``.

    Raises ``ValueError`` when another class already has the name, and for a name that no baseline file can have;
    ``TypeError`` for a set metric that lacks what the engine calls.
    """
    if problem := word_fault(name):
        raise ValueError(f"the metric name {shown(name)}: {problem}")

    def add(cls: M) -> M:
        if lacking := _lacking(cls):
            raise TypeError(f"the metric {name!r} ({cls.__qualname__}): {lacking}")
        known = _registry.get(name)
        # By name, not by identity: a module that is loaded again registers its class again.
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"metric {name!r} is already registered by {known.__module__}.{known.__qualname__}; "
                f"{cls.__module__}.{cls.__qualname__} needs a name of its own"
            )
        cls.name = name
        _registry[name] = cls
        return cls

    return add


def _lacking(cls: type[BaseMetric]) -> str:
    """Return what a class has to write before it can score a set, as a sentence; empty when nothing is missing.

    FastVideo's own set metrics collect a state (``accumulate`` and ``finalize``, or ``update`` and ``compute``). A
    state cannot be stored by clip, resumed, or told which clip did what; rows of features can.
    """
    if not cls.is_set_metric:
        return ""
    missing = []
    if not issubclass(cls, SetMetric):
        missing.append("SetMetric as its base class")
    if not issubclass(cls, SetMetric) or cls.features is SetMetric.features:
        missing.append("features(sample), which returns the (k, D) rows of one clip")
    if not issubclass(cls, SetMetric) or (
        cls.score_sets is SetMetric.score_sets and cls.score_against is SetMetric.score_against
    ):
        missing.append("score_sets(candidate, reference), which compares two sets of rows")
    if not missing:
        return ""
    return f"a set metric needs {', and '.join(missing)}: docs/porting.md has an example"


def discover() -> None:
    """Import every metric module of this package and of installed third parties, once.

    An error in a module is raised, never hidden: a metric that vanished would look like a typing mistake.
    """
    global _discovered
    if _discovered:
        return
    for family in _FAMILIES:
        package = importlib.import_module(f"pytest_vidmetrics.metrics.{family}")
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
            importlib.import_module(f"{package.__name__}.{module.name}")
    load_all(ENTRY_POINT_GROUP, "metrics")
    _discovered = True


def list_metrics() -> list[str]:
    """Return every registered name, sorted."""
    discover()
    return sorted(_registry)


def metric_class(name: str) -> type[BaseMetric]:
    """Return the class registered as ``name``. Raises ``KeyError`` with the closest name."""
    discover()
    if name not in _registry:
        raise KeyError(f"unknown metric {name!r}{hint(name, selectable())}")
    return _registry[name]


def unit_of(name: str) -> str:
    """Return a metric's unit; nothing for one that is not installed here."""
    try:
        return metric_class(name).unit
    except KeyError:
        return ""


def hint(name: str, choices: Iterable[str]) -> str:
    """Return what to say behind an unknown metric's name: that it is not provided yet, or the closest choice."""
    wholes = [other for other in list_metrics() if name in getattr(_registry[other], "parts", ())]
    if wholes:
        return f": this version does not provide it, so that {' and '.join(wholes)} cannot be given"
    return closest(name, choices)


def get_metric(name: str, **params: Any) -> BaseMetric:
    """Return a new metric, not yet set up.

    Every metric with networks takes ``weights``: the path of a local file in place of its published one or, where
    there are several, ``{name of a file: path}``; names are those of ``vidmetrics list --weights``. The files' content,
    not their paths, is part of what a score is.

    Raises ``KeyError`` for an unknown name, ``TypeError`` for an argument that the metric does not take, ``ValueError``
    for a file that this configuration does not load, and :class:`~pytest_vidmetrics.core.errors.UnavailableError` when
    a library it needs is not installed.
    """
    cls = metric_class(name)
    if missing := missing_dependencies(name):
        raise UnavailableError(f"{name} needs {', '.join(missing)}: {_install_hint(name, missing)}")
    known = [] if cls.__init__ is object.__init__ else list(inspect.signature(cls.__init__).parameters)[1:]
    # A constructor that has an argument of this name gets it.
    weights = params.pop("weights", None) if "weights" not in known and cls.has_networks() else None
    for key in params:
        if key not in known:
            raise TypeError(
                f"{name} takes no parameter {shown(key)}{closest(key, known)} (it takes: {', '.join(known) or 'none'})"
            )
    metric = cls(**params)
    if weights is not None:
        metric.load_from(weights)
    return metric


def _install_hint(name: str, missing: Iterable[str]) -> str:
    extra = _EXTRAS.get(name) or _EXTRAS.get(name.split(".", maxsplit=1)[0])
    target = f"'pytest-vidmetrics[{extra}]'" if extra else " ".join(missing)
    return f"pip install {target}"


def missing_dependencies(name: str) -> list[str]:
    """Return the modules that ``name`` needs and that cannot be found; empty for an unknown name."""
    discover()
    cls = _registry.get(name)
    return [] if cls is None else [module for module in cls.dependencies if not _importable(module)]


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package of a dotted name is absent
        return False


def resolve_group(name: str, *, every: bool = False) -> list[str] | None:
    """Return the sorted names of group ``name``, or ``None`` when there is no such group.

    A name that is both a metric and a prefix (``physics_iq``) is the first member of its own group. Metrics that are
    chosen by their own name only are left out, unless ``every`` is given or the group has no others.
    """
    members = [metric for metric in list_metrics() if metric.startswith(f"{name}.")]
    if not members:
        return None
    members = _grouped(members, every=every) or members
    return [name, *members] if name in _registry else members


def _grouped(names: list[str], *, every: bool) -> list[str]:
    return [name for name in names if every or not _registry[name].by_name_only]


def selectable() -> list[str]:
    """Return everything that may be named in a selection: metrics, groups and ``all``."""
    names = list_metrics()
    groups = {name.rsplit(".", 1)[0] for name in names if "." in name}
    return sorted({"all", *names, *groups})


def expand(selection: Iterable[str], *, every: bool = False) -> list[str]:
    """Return the metric names that a list of metrics, groups and ``all`` means, in order, without repeats.

    Metrics that are chosen by their own name only are in their groups when ``every`` is given.
    Raises ``KeyError`` for a name that is none of them.
    """
    chosen: dict[str, None] = {}
    for name in selection:
        members = (
            _grouped(list_metrics(), every=every)
            if name == "all"
            else resolve_group(name, every=every) or [metric_class(name).name]
        )
        chosen.update(dict.fromkeys(members))
    return list(chosen)
