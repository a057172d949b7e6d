"""The facts of every metric as Markdown, from the classes themselves: what the page ``metrics`` shows."""

from __future__ import annotations

import inspect
import re
from itertools import groupby

from pytest_vidmetrics.core.wording import size
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric

PAGES = {"common": "fvd", "video": "technical", "judge": "judges", "videoscore2": "judges"}
"""The page of a group that is not called like it."""


def all_metrics() -> str:
    """Return a section for each group and each of its metrics."""
    parts: list[str] = []
    for group, names in groupby(sorted(registry.list_metrics()), key=lambda name: name.split(".")[0]):
        page = PAGES.get(group, group)
        parts.append(f"## {group}\n\nProtocols, deviations and price: [{page}]({page}.md).\n")
        parts += [_one(name, registry.metric_class(name)) for name in names]
    return "\n".join(parts)


def _one(name: str, cls: type[BaseMetric]) -> str:
    metric = cls()
    said = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", (inspect.getdoc(cls) or "").split("\n\n")[0].replace("``", "`"))
    weights = metric.weights_files()
    sizes = [one.size for one in weights]
    total = "size not published" if None in sizes else size(sum(filter(None, sizes)))
    files = ", ".join(f"`{one.name}` ({one.licence})" for one in weights)
    span = "" if cls.value_range is None else f", in [{cls.value_range[0]:g}, {cls.value_range[1]:g}]"
    source = f": {cls.noise_source}" if cls.noise_source else ""
    chosen = ", ".join(f"`{key} = {value!r}`" for key, value in metric.params().items())
    needs = ", ".join(f"`{key}`" for key in metric.required_keys()) or "its parts"
    better = "higher" if cls.higher_is_better else "lower"
    facts = {
        "Score": f"{better} is better{span}{f', {cls.unit}' if cls.unit else ''}",
        "Needs": f"{needs}{', of a set of clips' if cls.is_set_metric else ''}",
        "Weights": f"{total}: {files}" if weights else "none",
        "Noise floor": f"{cls.noise_floor:g}{source}",
        "Parameters": chosen or "none",
        "Version": cls.version,
    }
    lines = "\n".join(f"- {title}: {text}" for title, text in facts.items())
    return f"### `{name}`\n\n{' '.join(said.split())}\n\n{lines}\n"
