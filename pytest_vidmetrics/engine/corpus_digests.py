"""What a score was made of, as digests: the ids, what a metric reads of each sample, the references.

A baseline is compared only where they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from sys import intern
from typing import Any

from pytest_vidmetrics.core.errors import ContentError
from pytest_vidmetrics.core.hashing import digest_file, digest_json, digest_list
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import PATH_KEYS
from pytest_vidmetrics.engine.identity import Digest, UnkeyedError, content
from pytest_vidmetrics.engine.values import completed
from pytest_vidmetrics.metrics.base import BaseMetric

_CANDIDATE = ("video", "audio")
"""Sample keys of what is under test: it may change, all else that a metric reads may not."""

_SHORT = 16
"""Hexadecimal digits of a digest by clip: enough to tell changes, and a baseline stays small."""


def as_listed(found: CorpusScore, metric: BaseMetric, corpus: Corpus, digest: Digest = digest_file) -> CorpusScore:
    """Return the score of some samples of a corpus with the digests of all of them: of what a baseline compares."""
    return replace(
        found,
        sample_ids=sample_digest(corpus.samples, metric),
        reference=reference_digest(corpus.samples, metric, digest),
        inputs=inputs_of(corpus.samples, metric, digest),
    )


def inputs_of(samples: Sequence[Sample], metric: BaseMetric, digest: Digest) -> dict[str, str]:
    """Return a short digest by id of what the metric reads of a sample beside the candidate: so what must not change.

    Empty where a file is gone: that sample's own outcome says so.
    """
    keys = sorted({*metric.required_keys(), *metric.reads} - set(_CANDIDATE))
    if not keys:
        # A digest all the same: a clip without other inputs is then known to be unchanged.
        return dict.fromkeys((sample.id for sample in samples), digest_json({})[:_SHORT])
    found: dict[str, str] = {}
    for sample in samples:
        values = completed(sample.values)
        try:
            held = {key: _plain(key, values[key], digest) for key in keys if values.get(key) is not None}
        except (OSError, ContentError):
            return {}
        # Gates of one case hold the same digests: one string for all.
        found[sample.id] = intern(digest_json(held)[:_SHORT])
    return found


def reference_digest(samples: Sequence[Sample], metric: BaseMetric, digest: Digest) -> str | None:
    """Return the digest of the references and masks that the metric reads; ``None`` where it reads none."""
    keys = [key for key in (*metric.required_keys(), *metric.reads) if "reference" in key or "mask" in key]
    if not keys:
        return None
    # A key that no sample has adds nothing: a metric may read what few samples give.
    present = [key for key in keys if any(key in sample.values for sample in _completed(samples))]
    return set_digest(_completed(samples), present, digest) if present else None


def _completed(samples: Iterable[Sample]) -> Iterator[Sample]:
    return (replace(sample, values=completed(sample.values)) for sample in samples)


def sample_digest(samples: Sequence[Sample], metric: BaseMetric) -> str:
    """Return the digest of the ids and of the values, such as prompts, that the metric reads."""
    keys = [key for key in (*metric.required_keys(), *metric.reads) if key not in PATH_KEYS]
    return digest_list([sample.id, {key: _plain(key, sample.values.get(key)) for key in keys}] for sample in samples)


def set_digest(samples: Iterable[Sample], keys: Sequence[str], digest: Digest) -> str | None:
    """Return the digest of what samples hold under some keys, by id.

    ``None`` where a file is gone: the sample itself then reports the problem.
    """
    try:
        return digest_json(
            {
                sample.id: [
                    digest(value) if key in PATH_KEYS and isinstance(value, str) else _plain(key, value, digest)
                    for key in keys
                    if (value := sample.values.get(key)) is not None
                ]
                for sample in samples
            }
        )
    except (OSError, ContentError):
        return None


def _plain(key: str, value: Any, digest: Digest = digest_file) -> Any:
    """Return a sample value as JSON: itself, or its content; a value without one counts by its type alone."""
    try:
        return content(key, value, digest)
    except UnkeyedError:
        return type(value).__name__
