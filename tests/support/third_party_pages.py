"""What third_party/ says of every published file, from the code: the table of the networks, and a part of each page.

    python -m tests.support.third_party_pages

writes both anew; tests/test_third_party.py fails where they are not current.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path

from pytest_vidmetrics.commands._weights import known_files
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.core.wording import size
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks.published.catalogue import NETWORKS, File, Published

FOLDER = Path(__file__).parents[2] / "third_party"
OURS = {"audio", "common", "judge", "optical_flow", "physics_iq", "vbench", "videoscore2"}
START, END = "<!-- written by tests/support/third_party_pages.py -->", "<!-- end -->"
_WIDTH = 110


def table() -> str:
    """Return the table of third_party/README.md."""
    lines = ["| network | used by | licence of the code | licence of the weights |", "| --- | --- | --- | --- |"]
    used = _used()
    for network in NETWORKS:
        own = _own(network)
        metrics = sorted({name for one in own for name in used[one]})
        licences = dict.fromkeys(one.licence for one in own)
        cells = [f"[{network.title}]({network.page}/README.md)", ", ".join(metrics), network.code, "; ".join(licences)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def files(network: Published) -> str:
    """Return the part of a network's page about its files."""
    return "\n".join(["## The published files", *(line for file in network.files for line in _file(file))])


def _file(file: File) -> list[str]:
    one = file.weights
    length = "length not known" if one.size is None else f"{one.size:,} bytes"
    if one.size is not None and one.kind() == "hub" and one.filename is None:
        length = f"about {size(one.size)}"
    where = [f"hub `{source.where}`" if source.kind() == "hub" else source.where for source in one.sources()]
    details = [
        (f", `{source.filename}`" if source.filename else "") + (f" at `{source.revision}`" if source.revision else "")
        for source in one.sources()
    ]
    sources = "; else ".join(text + more for text, more in zip(where, details, strict=True))
    rows = [
        f"- Container: {file.container}; {length}",
        f"- Layout: {file.layout}",
        f"- sha256: {_pin(one)}",
        f"- Source: {sources}",
        f"- Licence: {one.licence}",
        *([f"- Local copy: `${one.override}`"] if one.override else []),
    ]
    return ["", f"### {one.name}", "", *(line for row in rows for line in _wrapped(row))]


def _pin(one: Weights) -> str:
    if not one.sha256:
        return "; ".join(f"`{name}` `{digest}`" for name, digest in one.parts) or "not known"
    if len(one.sha256) < 64:
        return f"begins with `{one.sha256}`"
    return f"`{one.sha256}`" + ("" if one.confirmed else " (one record of it: another file is warned of and used)")


def _wrapped(row: str) -> list[str]:
    return textwrap.wrap(row, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _own(network: Published) -> list[Weights]:
    """Return the files of a network that no other one shares."""
    pages = Counter(file.weights for one in NETWORKS for file in one.files)
    return [file.weights for file in network.files if pages[file.weights] == 1]


def _used() -> dict[Weights, list[str]]:
    """Return the metrics of this package by file: an installed package may have more."""
    return known_files([name for name in registry.list_metrics() if name.split(".")[0] in OURS])


def placed(text: str, part: str) -> str:
    """Return a page with its generated part written anew, at the end where there was none."""
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2] if rest else "\n"
    return f"{before.rstrip()}\n\n{START}\n\n{part}\n\n{END}{after}"


def pages() -> dict[Path, str]:
    """Return every page as it has to be."""
    found = {FOLDER / "README.md": table(), **{FOLDER / one.page / "README.md": files(one) for one in NETWORKS}}
    return {path: placed(path.read_text("utf-8"), part) for path, part in found.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
