"""Arguments that are one of a few words: checked by one rule, refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_vidmetrics.core.wording import shown


def one_of(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise ``ValueError``, which names what is allowed, when the argument ``name`` is none of it."""
    if value not in (words := tuple(allowed)):
        raise ValueError(f"{name} must be one of {', '.join(words)}, got {shown(value)}")
