"""The WordPiece vocabulary of BERT (uncased): from text to token ids and back, from its word list alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.networks import shared

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BERT_VOCABULARY = Weights(
    "bert-base-uncased-vocab.txt",
    "google-bert/bert-base-uncased",
    "vocab.txt",
    revision="86b5e0934494bd15c9632b12f734a8a67f723594",
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    size=231_508,
    licence="Apache-2.0",
    override="VIDMETRICS_BERT_VOCABULARY",
)
SIZE = 30522
PAD, UNKNOWN, START, END, MASK = 0, 100, 101, 102, 103
SPECIALS = frozenset((PAD, UNKNOWN, START, END, MASK))
_JOINED = (" .", " ?", " !", " ,")
_CONTRACTIONS = (" n't", " 'm", " 's", " 've", " 're")


@dataclass(frozen=True)
class Vocabulary:
    """The 30,522 word pieces in the order of their ids."""

    pieces: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path) -> Vocabulary:
        """Return the vocabulary of a file with one piece per line.

        Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` for a file that is cut or of another kind.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnavailableError(f"{path} is not BERT's vocabulary: it is not text in UTF-8 ({error})") from error
        # Only line feeds end a line: some pieces are signs that str.splitlines() takes for line ends.
        pieces = tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
        if len(pieces) != SIZE:
            raise UnavailableError(
                f"{path} is not BERT's vocabulary: it has {len(pieces)} lines, expected {SIZE}; "
                f"use {BERT_VOCABULARY.filename} of {BERT_VOCABULARY.source}"
            )
        return cls(pieces)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer
        from tokenizers.models import WordPiece
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer

        ids = {piece: id for id, piece in enumerate(self.pieces)}
        # A longer word is unknown, as in the tokeniser of BERT.
        made = Tokenizer(WordPiece(ids, unk_token=self.pieces[UNKNOWN], max_input_chars_per_word=100))
        made.normalizer, made.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
        return made

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, in lower case and without accents; no start and no end is added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int], *, skip: frozenset[int] = SPECIALS) -> str:
        """Return the text of token ids, without those in ``skip``.

        Continuations (``##s``) join the piece before; a blank before ``. ? ! ,`` and before contractions goes, as in
        the tokeniser that wrote the published captions. A text that starts with a continuation keeps its signs.
        """
        text = " ".join(self.pieces[id] for id in ids if id not in skip).replace(" ##", "")
        for sign in _JOINED:
            text = text.replace(sign, sign[1:])
        text = text.replace(" ' ", "'")
        for end in _CONTRACTIONS:
            text = text.replace(end, end[1:])
        return text


def load(metric: str | None = None) -> Vocabulary:
    """Return the shared vocabulary; ``metric`` is who asks, for the error message."""
    path = str(resolve(BERT_VOCABULARY, metric))
    return shared.load(BERT_VOCABULARY.name, "cpu", lambda: Vocabulary.read(path), path)
