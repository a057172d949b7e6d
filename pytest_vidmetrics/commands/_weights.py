"""Every published file: who reads it, which bytes it must be, where it comes from, and whether it is here."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from pytest_vidmetrics.core.weights import Weights, held
from pytest_vidmetrics.core.wording import counted, size

_WIDTH = 80


def known_files(names: Sequence[str]) -> dict[Weights, list[str]]:
    """Return what any configuration of the named metrics can load, each with the metrics that do."""
    from pytest_vidmetrics.metrics import registry
    from pytest_vidmetrics.metrics.composite import CompositeMetric

    found: dict[Weights, list[str]] = {}
    for name in names:
        cls = registry.metric_class(name)
        # A composite loads what its parts load.
        if not issubclass(cls, CompositeMetric):
            for one in cls.every_weights():
                found.setdefault(one, []).append(name)
    return found


def described(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the files of metrics as JSON values, by network."""
    from pytest_vidmetrics.networks.published.catalogue import NETWORKS

    used = known_files(names)
    titles: dict[Weights, list[str]] = {}
    files = {}
    for network in NETWORKS:
        for file in network.files:
            titles.setdefault(file.weights, []).append(network.title)
            files[file.weights] = file
    # In the order of the catalogue, then what other packages bring.
    order = [*(one for one in files if one in used), *(one for one in used if one not in files)]
    return [
        {
            "name": one.name,
            "networks": titles.get(one, []),
            "metrics": used[one],
            "size": one.size,
            "sha256": one.sha256,
            "confirmed": one.confirmed if one.sha256 else None,
            "parts": dict(one.parts),
            "sources": [str(source) for source in one.sources()],
            "licence": one.licence,
            "container": files[one].container if one in files else None,
            "layout": files[one].layout if one in files else None,
            "variable": one.override,
            **_place(one),
        }
        for one in order
    ]


def _place(one: Weights) -> dict[str, Any]:
    path, verified = held(one)
    if one.overridden() is not None:
        state = "local file" if path else "local file is missing"
    else:
        state = "not here" if path is None else "verified" if verified else "here, not verified yet"
    return {"state": state, "path": str(path) if path else None}


def listed(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the files for people, at most 80 columns wide."""
    out: list[str] = []
    for one in found:
        out += _wrapped("", f"{one['name']}  {size(one['size'])}  {one['state']}")
        out += _wrapped("  network  ", "; ".join(one["networks"]) or "of another package")
        out += _wrapped("  metrics  ", ", ".join(one["metrics"]))
        out += _wrapped("  sha256   ", _pin(one))
        out += _wrapped("  licence  ", one["licence"])
        for number, source in enumerate(one["sources"]):
            out += _wrapped("  source   " if not number else "  else     ", source)
    sizes = [one["size"] for one in found if one["size"] is not None]
    unpinned = sum(_no_pin(one) for one in found)
    here = sum(one["path"] is not None for one in found)
    total = f"{counted(len(found), 'file')}, {size(sum(sizes))}"
    more = f" and {len(found) - len(sizes)} of unknown size" if len(sizes) < len(found) else ""
    return [*out, *_wrapped("", f"{total}{more}; {here} here, {unpinned} without a known sha256")]


def _no_pin(one: dict[str, Any]) -> bool:
    return not one["sha256"] and not one["parts"]


def _pin(one: dict[str, Any]) -> str:
    if not one["sha256"]:
        parts = ", ".join(f"{name} {digest}" for name, digest in one["parts"].items())
        return parts or "no known sha256"
    known = one["sha256"] if len(one["sha256"]) == 64 else f"{one['sha256']}... (its first digits)"
    return known if one["confirmed"] else f"{known} (one record: another one is warned of)"


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=label,
        subsequent_indent=" " * (len(label) or 4),
        break_on_hyphens=False,
    )
