"""The rows of a case that engines score, in columns: a million of them are never a list of a million objects."""

from __future__ import annotations

from typing import Any

from pytest_vidmetrics.core.samples import Corpus, SampleTable, clean_id, folded
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.manifest import sample_keys
from pytest_vidmetrics.gates.rows import each_row

_PAIRED = (("reference", "video"), ("reference_audio", "audio"))


def in_columns(case: Case, checkpoint: str | None) -> Corpus:
    """Return the corpus of a case whose clips are all named in the rows of its sample list.

    The same samples, references and errors as :func:`.listing.resolve_samples` gives without columns.
    """
    remarks: list[str] = []
    samples = SampleTable()
    lines: dict[str, int] = {}
    changed: dict[str, tuple[str, str]] = {}
    for row in each_row(case, checkpoint, sample_keys(), remarks):
        if (line := lines.setdefault(folded(row.name), row.where.line)) != row.where.line:
            raise row.where.error(f"the id {row.name!r} is given twice (first on line {line})")
        id = clean_id(row.name)
        if id != row.name and (other := changed.setdefault(folded(id), (row.name, id)))[0] != row.name:
            raise _alike(case, other[0], row.name, id)
        values = {**case.broadcast, **row.values}
        only = values.pop("metrics", None)
        samples.append(id, values, None if only is None else frozenset(only))
    for key, (name, id) in changed.items():
        if key in lines and key != folded(name):
            raise _alike(case, id, name, id)
    ordered = samples.in_natural_order()
    return Corpus(ordered, _references(ordered), tuple(remarks))


def _alike(case: Case, one: str, other: str, id: str) -> Exception:
    return case.at("samples").error(f"{one!r} and {other!r} have the same id ({id!r}); rename one of them")


def _references(samples: SampleTable) -> SampleTable:
    """Return the paired references as samples of their own, each file once."""
    found = SampleTable("reference")
    files: set[tuple[Any, ...]] = set()
    for sample in samples if any(key in samples.keys for key, _ in _PAIRED) else ():
        media = {into: sample.values[key] for key, into in _PAIRED if key in sample.values}
        if media and (which := tuple(media.values())) not in files:
            files.add(which)
            found.append(sample.id, media)
    return found
