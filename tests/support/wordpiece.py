"""A vocabulary of made-up words, in the size and layout of BERT's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SIZE = 30522
_KNOWN = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1037: "a", 1064: "|", 1997: "of"}
_KNOWN[3861] = "picture"


def made_up_pieces(known: Mapping[int, str] | None = None) -> list[str]:
    """Return one piece per id: ``tok<id>``, every fifth one the continuation ``##p<id>``; ``known`` replaces some."""
    named = {**_KNOWN, **(known or {})}
    return [named.get(i, f"##p{i}" if i % 5 == 4 else f"tok{i}") for i in range(SIZE)]


def write_vocabulary(path: Path, known: Mapping[int, str] | None = None) -> Path:
    """Write the vocabulary, one piece per line."""
    path.write_text("\n".join([*made_up_pieces(known), ""]), "utf-8")
    return path
