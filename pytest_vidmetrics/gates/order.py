"""The random order in which a gate looks at its samples, where it does not look at all: the same in every process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.scores import CorpusScore

_DIGITS = 16


def seed_of(scores: CorpusScore) -> str:
    """Return the seed that a baseline of these scores records: random, yet the same whoever records it."""
    return digest_json([dict(scores.metric), scores.sample_ids])[:_DIGITS]


def shuffled(seed: str, ids: Iterable[str], clusters: Mapping[str, str]) -> list[list[str]]:
    """Return groups of samples in their random order: clusters where there are some, else single samples.

    The place of a group is the hash of the seed and its name, so that it does not depend on the other samples.
    """
    groups: dict[str, list[str]] = {}
    # Sorted: within a group the order must not depend on how the samples were listed.
    for id in sorted(ids):
        groups.setdefault(clusters.get(id, id), []).append(id)
    return [groups[name] for name in sorted(groups, key=lambda name: digest_json([seed, name]))]


def first(groups: Sequence[list[str]], most: int | None) -> list[list[str]]:
    """Return the first groups that hold at most ``most`` samples together; all without a limit."""
    if most is None:
        return list(groups)
    kept, held = [], 0
    for group in groups:
        held += len(group)
        if held > most:
            # Not the next group that would fit: small ones would be drawn more often.
            break
        kept.append(group)
    return kept
