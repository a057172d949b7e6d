"""The rows of a case that engines score, in columns: a million of them are never a list of a million objects."""

from __future__ import annotations

from typing import Any

from pytest_vidmetrics.core.samples import Corpus, SampleTable, clean_id, folded
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.manifest import sample_keys
from pytest_vidmetrics.gates.rows import each_row, media_of_reference, same_id


def in_columns(case: Case, checkpoint: str | None) -> Corpus:
    """Return the corpus of a case whose clips are all named in the rows of its sample list.

    The same samples, references and errors as :func:`.listing.resolve_samples` gives without columns.
    """
    remarks: list[str] = []
    samples = SampleTable()
    lines: dict[str, int] = {}
    changed: dict[str, tuple[str, str]] = {}
    for row in each_row(case, checkpoint, sample_keys(), remarks):
        # Line numbers instead of rows: a million rows are not kept to name one.
        if (line := lines.setdefault(folded(row.name), row.where.line)) != row.where.line:
            raise row.where.error(f"the id {row.name!r} is given twice (first on line {line})")
        id = clean_id(row.name)
        # Only ids that the name was changed for can meet another one's; the rest are their names.
        if id != row.name and (other := changed.setdefault(folded(id), (row.name, id)))[0] != row.name:
            raise same_id(case, "samples", (other[0], row.name), id)
        values = {**case.broadcast, **row.values}
        only = values.pop("metrics", None)
        samples.append(id, values, None if only is None else frozenset(only))
    for key, (name, id) in changed.items():
        # A cleaned id may be another row's own name.
        if key in lines and key != folded(name):
            raise same_id(case, "samples", (id, name), id)
    ordered = samples.in_natural_order()
    return Corpus(ordered, _references(ordered), tuple(remarks))


def _references(samples: SampleTable) -> SampleTable:
    """Return the paired references as samples of their own, each file once."""
    found = SampleTable("reference")
    files: set[tuple[Any, ...]] = set()
    # The keys of the columns tell at once whether any row has a reference.
    for sample in samples if media_of_reference(dict.fromkeys(samples.keys)) else ():
        media = media_of_reference(sample.values)
        if media and (which := tuple(media.values())) not in files:
            files.add(which)
            found.append(sample.id, media)
    return found
