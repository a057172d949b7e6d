"""Samples and corpora: what is scored, before any clip is opened."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from pytest_vidmetrics.core.order import in_order

LARGE = 10_000
"""Corpora of more samples are scored by engines, and kept and judged by what does not grow with every clip."""
_SIGNS = frozenset("_.-")
_CLEAN = re.compile(r"[A-Za-z0-9_.-]+")
_SHOWN_BYTES = 96
"""Of an id on screen: pytest puts it into an environment variable, and others make file names of it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip to score. ``values`` holds every sample key; those of :data:`PATH_KEYS` are absolute paths."""

    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    role: str = "generated"
    only: frozenset[str] | None = None
    """Names of the metrics that the sample is for; ``None`` for all of them."""
    paired: bool = False
    """Of a reference: whether it belongs to the sample of the same id, so that both count or none."""

    def concerns(self, metric: str) -> bool:
        """Whether a metric scores this sample."""
        return self.only is None or metric in self.only

    @property
    def path(self) -> str:
        """The file that names the sample in reports."""
        for key in ("video", "audio"):
            value = self.values.get(key)
            # A clip in memory may still know its file.
            value = getattr(value, "source", value)
            if isinstance(value, str | os.PathLike):
                return os.fspath(value)
        return ""


class SampleTable(Sequence[Sample]):
    """Many samples in columns, a list of values by key: a sample is made when it is looked at.

    A million rows of a path and an id take some 200 MB so, and four times that as samples with a dict each.
    """

    def __init__(self, role: str = "generated") -> None:
        self._role = role
        self._ids: list[str] = []
        self._columns: dict[str, list[Any]] = {}
        self._only: dict[str, frozenset[str]] = {}

    @property
    def keys(self) -> Collection[str]:
        """The keys that some sample has."""
        return self._columns.keys()

    @property
    def for_all(self) -> bool:
        """Whether every sample is for all metrics."""
        return not self._only

    def append(self, id: str, values: Mapping[str, Any], only: frozenset[str] | None = None) -> None:
        """Add a sample. A value that is ``None`` is none."""
        if only is not None:
            self._only[id] = only
        # A key that first comes now: earlier samples do not have it.
        for key in values.keys() - self._columns.keys():
            self._columns[key] = [None] * len(self._ids)
        self._ids.append(id)
        for key, column in self._columns.items():
            column.append(values.get(key))

    def in_natural_order(self) -> SampleTable:
        """Return the samples in the natural order of their ids."""
        order = in_order(range(len(self._ids)), self._ids.__getitem__)
        found = SampleTable(self._role)
        found._only = self._only
        found._ids = [self._ids[i] for i in order]
        found._columns = {key: [column[i] for i in order] for key, column in self._columns.items()}
        return found

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self._ids)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples, made one after the other."""
        keys, only = tuple(self._columns), self._only
        for id, *row in zip(self._ids, *self._columns.values(), strict=True):
            values = {key: value for key, value in zip(keys, row, strict=True) if value is not None}
            yield Sample(id, values, self._role, only.get(id))

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, index: int | slice) -> Sample | tuple[Sample, ...]:
        """Return a sample, or the samples of a slice."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        values = {key: column[index] for key, column in self._columns.items() if column[index] is not None}
        return Sample(self._ids[index], values, self._role, self._only.get(self._ids[index]))


@dataclass(frozen=True)
class Corpus:
    """The samples of a case in the order of their ids, and the reference set of its set metrics."""

    samples: Sequence[Sample]
    references: Sequence[Sample] = ()
    remarks: tuple[str, ...] = ()
    """What was found beside the clips and left out, or read in a way that should be known."""

    def of(self, metric: str) -> Corpus:
        """Return the samples that a metric scores, and all references."""
        # The columns stay as they are: copying a million rows would undo what they save.
        if isinstance(self.samples, SampleTable) and self.samples.for_all:
            return self
        chosen = tuple(sample for sample in self.samples if sample.concerns(metric))
        return Corpus(chosen, self.references, self.remarks)


def whole_name(text: str) -> str:
    """Return a name as it is compared with others: whole, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text)


def clean_id(text: str) -> str:
    """Return ``text`` as it may stand in a test id: letters, marks and digits of any script, ``_``, ``.`` and ``-``.

    Two names may have one id: who makes ids of names compares them.
    """
    if _CLEAN.fullmatch(text):
        return text.strip("-") or "sample"
    kept = "".join(char if _may_stay(char) else " " for char in whole_name(text))
    return "-".join(kept.split()).strip("-") or "sample"


def _may_stay(char: str) -> bool:
    if char.isascii():
        return char.isalnum() or char in _SIGNS
    # Pictures have no other name than themselves. White space, controls and what cannot be seen have none at all.
    return unicodedata.category(char)[0] in "LMNS"


def folded(id: str) -> str:
    """Return an id as a file system sees it that does not tell capitals from small letters."""
    return whole_name(id.casefold())


def shown_id(id: str) -> str:
    """Return an id as it is shown on screen: cut to 96 bytes, with a digest where it was cut."""
    data = id.encode(errors="backslashreplace")
    if len(data) <= _SHOWN_BYTES:
        return id
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{cut_bytes(id, _SHOWN_BYTES - len(digest) - 1)}~{digest}"


def cut_bytes(text: str, limit: int) -> str:
    """Return the longest beginning of a text that has at most ``limit`` bytes in UTF-8, without half characters."""
    return text.encode(errors="surrogatepass")[:limit].decode(errors="ignore")
