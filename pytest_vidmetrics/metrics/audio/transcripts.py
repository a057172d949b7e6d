"""Two texts as an error rate: normalisation, words or characters, aligned and counted."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_DELETED = str.maketrans("", "", string.punctuation + "，。！？、；：「」『』（）《》【】—…")
_SPACES = re.compile(r"\s+")
# Han, with its first extension; kana; Hangul syllables.
_CHARACTERS = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af]")


@dataclass(frozen=True)
class Errors:
    """How a transcript differs from the reference, in words (or characters) of their best alignment."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def total(self) -> int:
        """Number of errors."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        """Number of words in the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors per reference word; the number of inserted words when the reference has none."""
        return self.total / (self.reference_length or 1)

    @staticmethod
    def sum(parts: Iterable[Errors]) -> Errors:
        """Return the errors of several transcripts together."""
        rows = [(part.hits, part.substitutions, part.deletions, part.insertions) for part in parts]
        return Errors(*(sum(column) for column in zip(*rows, strict=True))) if rows else Errors(0, 0, 0, 0)


def normalise(text: str) -> str:
    """Return text as it is compared: NFKC, lower case, without ASCII and CJK punctuation, single spaces.

    A hyphen or an apostrophe joins its words (``well-known`` is one word); numbers stay as they are written.
    """
    plain = unicodedata.normalize("NFKC", text).strip().lower().translate(_DELETED)
    return _SPACES.sub(" ", plain).strip()


def has_characters(text: str) -> bool:
    """Whether there is Han, kana or Hangul in a text."""
    return _CHARACTERS.search(text) is not None


def units(text: str, *, characters: bool) -> list[str]:
    """Return the words of a normalised text, or its characters without the spaces."""
    return [one for one in text if not one.isspace()] if characters else text.split()


def count(reference: list[str], transcript: list[str]) -> Errors:
    """Align two lists of words without white space in them, and count (jiwer)."""
    if not reference or not transcript:
        return Errors(0, 0, len(reference), len(transcript))
    import jiwer

    found = jiwer.process_words(" ".join(reference), " ".join(transcript))
    return Errors(found.hits, found.substitutions, found.deletions, found.insertions)
