"""Samples and corpora: what is scored, before any clip is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_UNCLEAN = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Sample:
    """One clip to score. ``values`` holds every sample key; those of :data:`PATH_KEYS` are absolute paths."""

    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    role: str = "generated"
    only: frozenset[str] | None = None
    """Names of the metrics that the sample is for; ``None`` for all of them."""

    def concerns(self, metric: str) -> bool:
        """Whether a metric scores this sample."""
        return self.only is None or metric in self.only

    @property
    def path(self) -> str:
        """The file that names the sample in reports."""
        return str(self.values.get("video") or self.values.get("audio") or "")


@dataclass(frozen=True)
class Corpus:
    """The samples of a case in the order of their ids, and the reference set of its set metrics."""

    samples: tuple[Sample, ...]
    references: tuple[Sample, ...] = ()

    def of(self, metric: str) -> Corpus:
        """Return the samples that a metric scores, and all references."""
        return Corpus(tuple(sample for sample in self.samples if sample.concerns(metric)), self.references)


def clean_id(text: str) -> str:
    """Return ``text`` as it may stand in a test id: letters, digits, ``_``, ``.`` and ``-``."""
    return _UNCLEAN.sub("-", text).strip("-") or "sample"
