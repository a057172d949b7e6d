"""Two texts as an error rate: normalisation, words or characters, aligned and counted."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_SPACES = re.compile(r"\s+")
# Marks that are written inside a word as an apostrophe, whatever else they are: some are letters, one an accent.
_APOSTROPHES = re.compile("['\u2018\u2019\u201b\u02bb\u02bc\u02b9\u2032\u0060\u00b4\uff07]")
_IN_A_NUMBER = re.compile(r"(?<=\d)[.,](?=\d)")
# The full stops of an abbreviation: U.S.A.
_ABBREVIATED = re.compile(r"(?<![^\W\d_])(?:[^\W\d_]\.){2,}")
_WITHOUT_SPACES = frozenset(
    {"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "HANGUL", "YI"}
    | {"THAI", "LAO", "KHMER", "MYANMAR", "TAI", "AHOM"}
)
"""First words of the Unicode names of letters that are not written in words with spaces between (Hangul is, but counts
by syllable everywhere)."""

_FASTVIDEO_DELETED = str.maketrans("", "", string.punctuation + "，。！？、；：「」『』（）《》【】—…")
# Han, with its first extension; kana; Hangul syllables.
_FASTVIDEO_CHARACTERS = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af]")


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
    """Return text as it is compared: letters, marks and digits in lower case, single spaces.

    By Unicode category, after NFKC: punctuation and symbols of any script part words, so that ``wait—what`` and
    ``well-known`` are two; what is not seen (soft hyphens, joiners, directions) is dropped; digits of any script
    are 0 to 9. An apostrophe is dropped, and so are a full stop or comma between two digits and the full stops of
    an abbreviation: ``it's``, ``1,000`` and ``U.S.`` are one word each.
    """
    # Apostrophes before NFKC, which makes a space and an accent of some of them.
    plain = unicodedata.normalize("NFKC", _APOSTROPHES.sub("", text)).lower()
    plain = _ABBREVIATED.sub(lambda found: found[0].replace(".", ""), _IN_A_NUMBER.sub("", plain))
    return _SPACES.sub(" ", "".join(map(_compared, plain))).strip()


@lru_cache(maxsize=4096)
def _compared(character: str) -> str:
    """Return what is left of one character."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in ("Cf", "Cc") and not character.isspace():
        return ""
    return " " if category[0] in "PSZ" else character


def has_characters(text: str) -> bool:
    """Whether there is a letter of a script that is compared by character: one without spaces, or Hangul."""
    return any(_is_character(one) for one in text)


@lru_cache(maxsize=4096)
def _is_character(one: str) -> bool:
    return one.isalpha() and unicodedata.name(one, "-").split()[0] in _WITHOUT_SPACES


def normalise_as_fastvideo(text: str) -> str:
    """Return text as FastVideo compares it: NFKC, lower case, without ASCII and CJK punctuation, single spaces.

    A hyphen or an apostrophe joins its words; curly quotes and most other signs stay.
    """
    plain = unicodedata.normalize("NFKC", text).strip().lower().translate(_FASTVIDEO_DELETED)
    return _SPACES.sub(" ", plain).strip()


def has_characters_in_fastvideo(text: str) -> bool:
    """Whether there is Han, kana or Hangul in a text."""
    return _FASTVIDEO_CHARACTERS.search(text) is not None


def in_english(text: str) -> str:
    """Return English as the normaliser of Whisper's evaluation spells it: contractions and numbers one way."""
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    # Contractions are known there by the ASCII apostrophe.
    spelt: str = EnglishTextNormalizer({})(_APOSTROPHES.sub("'", text))
    return normalise(spelt)


def units(text: str, *, characters: bool) -> list[str]:
    """Return the words of a normalised text, or its characters without the spaces."""
    return [one for one in text if not one.isspace()] if characters else text.split()


def count(reference: list[str], transcript: list[str]) -> Errors:
    """Align two lists of words without white space in them, and count (jiwer)."""
    # There is nothing to align: all are deletions, or all insertions.
    if not reference or not transcript:
        return Errors(0, 0, len(reference), len(transcript))
    import jiwer

    found = jiwer.process_words(" ".join(reference), " ".join(transcript))
    return Errors(found.hits, found.substitutions, found.deletions, found.insertions)
