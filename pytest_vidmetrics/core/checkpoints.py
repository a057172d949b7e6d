"""Checkpoints of published networks: where they come from, which bytes they must be, and how they are fetched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """One published file (or repository) of weights.

    ``source`` is a hub repository (``org/name``), an ``https`` URL, or a local path; ``filename`` is the file in
    a repository; ``revision`` pins a repository; ``sha256`` pins the bytes where it is known; ``size`` is in
    bytes where it is known; ``licence`` is the licence of the weights, which is shown to the user.
    """

    name: str
    source: str
    filename: str | None = None
    revision: str | None = None
    sha256: str | None = None
    size: int | None = None
    licence: str = "unknown"
    override: str | None = None
    """Environment variable that holds a local path to use instead of the download."""
