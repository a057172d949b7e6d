"""Samples and corpora: what is scored, before any clip is opened."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SIGNS = frozenset("_.-")
_SHOWN_BYTES = 96
"""Of an id on screen: pytest puts it into an environment variable, and others make file names of it."""


@dataclass(frozen=True)
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
            value = getattr(value, "source", value)
            if isinstance(value, str | os.PathLike):
                return os.fspath(value)
        return ""


@dataclass(frozen=True)
class Corpus:
    """The samples of a case in the order of their ids, and the reference set of its set metrics."""

    samples: tuple[Sample, ...]
    references: tuple[Sample, ...] = ()
    remarks: tuple[str, ...] = ()
    """What was found beside the clips and left out, or read in a way that should be known."""

    def of(self, metric: str) -> Corpus:
        """Return the samples that a metric scores, and all references."""
        chosen = tuple(sample for sample in self.samples if sample.concerns(metric))
        return Corpus(chosen, self.references, self.remarks)


def whole_name(text: str) -> str:
    """Return a name as it is compared with others: whole, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text)


def clean_id(text: str) -> str:
    """Return ``text`` as it may stand in a test id: letters, marks and digits of any script, ``_``, ``.`` and ``-``.

    Two names may have one id: who makes ids of names compares them.
    """
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
