"""CLIP's byte-level BPE tokeniser, from its merges table alone."""

from __future__ import annotations

import functools
import gzip
import html
import itertools
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

START, END = 49406, 49407
_MERGES = 48894
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_SPECIALS = {"<|startoftext|>": START, "<|endoftext|>": END}
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"'})
_LIGATURES = {chr(0xFB00 + i): text for i, text in enumerate(("ff", "fi", "fl", "ffi", "ffl", "st", "st"))}
_FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_SIMPLE = str.maketrans({**_LIGATURES, **_FULL_WIDTH})


def clean(text: str) -> str:
    """Return ``text`` as CLIP reads it: repaired, html-unescaped twice, one blank between words, lower case.

    The reference repairs text with ftfy. Of that, straight quotes, ligatures, full-width forms, control
    characters and NFC are done here; text that was decoded with the wrong encoding is not repaired.
    """
    text = unicodedata.normalize("NFC", text.translate(_QUOTES).translate(_SIMPLE))
    text = "".join(char for char in text if char.isspace() or unicodedata.category(char) != "Cc")
    text = html.unescape(html.unescape(text)).strip()
    return " ".join(text.split()).lower()


def words(text: str) -> Iterator[str]:
    """Yield the units that BPE works on: markers, contractions, letter runs, single digits, runs of other signs."""
    at = 0
    while at < len(text):
        end = _unit_end(text, at)
        if end > at:
            yield text[at:end]
        # A blank yields nothing, and is stepped over.
        at = max(end, at + 1)


def _unit_end(text: str, at: int) -> int:
    # Markers and contractions come before letters: `'s` is one unit.
    for unit in (*_SPECIALS, *_CONTRACTIONS):
        if text.startswith(unit, at):
            return at + len(unit)
    kind = _kind(text[at])
    if kind == "space":
        return at
    end = at + 1
    while kind != "digit" and end < len(text) and _kind(text[end]) == kind:
        end += 1
    return end


def _kind(char: str) -> str:
    if char.isspace():
        return "space"
    return {"L": "letter", "N": "digit"}.get(unicodedata.category(char)[0], "other")


def _byte_symbols() -> dict[int, str]:
    """Return the printable character that stands for each byte, in vocabulary order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    # Bytes that cannot be printed get the characters from 256 on.
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


class ClipTokenizer:
    """Text to token ids. ``ranks`` maps a pair of symbols to its merge rank."""

    def __init__(self, ranks: Mapping[tuple[str, str], int]) -> None:
        self._ranks = dict(ranks)
        self._bytes = _byte_symbols()
        symbols = list(self._bytes.values())
        self._ids = {symbol: i for i, symbol in enumerate([*symbols, *(s + "</w>" for s in symbols)])}
        # 256 symbols, 256 with an end of word, then one for each merge.
        self._ids |= {left + right: 512 + rank for (left, right), rank in self._ranks.items()}
        self._word = functools.lru_cache(maxsize=4096)(self._encode_word)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read ``merges.txt`` or ``bpe_simple_vocab_16e6.txt.gz``: a title line, then one merge per line."""
        path = Path(path)
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        # The table lists more merges than the vocabulary has room for.
        lines = data.decode("utf-8").split("\n")[1 : _MERGES + 1]
        pairs = [tuple(line.split()) for line in lines if line.strip()]
        return cls({(pair[0], pair[1]): rank for rank, pair in enumerate(pairs)})

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text`` without markers."""
        return [token for word in words(clean(text)) for token in self._word(word)]

    def row(self, text: str, length: int, *, truncate: bool = True) -> list[int]:
        """Return start, ids and end, padded with 0 to ``length``; cut text keeps its end marker.

        Raises ``ValueError`` for a text that is too long when ``truncate`` is false.
        """
        ids = [START, *self.encode(text), END]
        if len(ids) > length:
            if not truncate:
                raise ValueError(f"the text has {len(ids)} tokens, at most {length} are possible: {text[:60]!r}")
            ids = [*ids[: length - 1], END]
        return ids + [0] * (length - len(ids))

    def _encode_word(self, word: str) -> tuple[int, ...]:
        if word in _SPECIALS:
            return (_SPECIALS[word],)
        symbols = [self._bytes[byte] for byte in word.encode("utf-8")]
        symbols[-1] += "</w>"
        while len(symbols) > 1:
            pairs = list(itertools.pairwise(symbols))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, _MERGES))
            if best not in self._ranks:
                break
            symbols = _merge(symbols, best)
        return tuple(self._ids[symbol] for symbol in symbols)


def _merge(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    at = 0
    while at < len(symbols):
        if tuple(symbols[at : at + 2]) == pair:
            merged.append(pair[0] + pair[1])
            at += 2
        else:
            merged.append(symbols[at])
            at += 1
    return merged
