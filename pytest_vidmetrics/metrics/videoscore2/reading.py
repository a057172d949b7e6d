"""Reading an answer of VideoScore2: three whole numbers from 1 to 5, and the token that each of them is.

Works on the bytes of the tokens, so that a digit is found by where it stands, never by decoding again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DIMENSIONS = ("visual_quality", "text_alignment", "physical_consistency")
DIGITS = ("1", "2", "3", "4", "5")
LABELS = ("visual quality", "text-to-video alignment", "physical/common-sense consistency")
_NAMES = [re.escape(label) for label in LABELS]

Fault = Literal["unparsed", "out_of_range", "truncated"]
"""Why an answer has no score: no three lines in an accepted form, a number that is not 1 to 5, cut at the limit."""

# A label, perhaps with a description that holds no digit, then a colon, blanks, marks such as ** or <, and a number
# that is not the start of another one or of a range ("3-4" is no score).
_LINE = (
    r"{name}(?:\s*[-–—,(][^\d:：=\n]{{0,120}})?[\s*_]*[:：=][\s*_<\[(]*"
    r"(-?[0-9]+)(?![0-9]|[.,][0-9]| ?[-–—] ?[0-9]|/(?!5(?![0-9])))"
)
_ANSWER = re.compile(r".{0,200}?".join(_LINE.format(name=name) for name in _NAMES), re.IGNORECASE | re.DOTALL)
_BETWEEN = re.compile(r"</think>", re.IGNORECASE)

_UPSTREAM = re.compile(r".*?".join(rf"{name}:\s*(\d+)" for name in _NAMES), re.IGNORECASE | re.DOTALL)
_FASTVIDEO = re.compile(
    r".*?".join(rf"\({i}\)\s*{name}[^\d]*(\d+)" for i, name in enumerate(_NAMES, start=1)), re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Read:
    """The three scores of an answer, and the index of the token that is each of them."""

    scores: tuple[int, int, int]
    tokens: tuple[int, int, int]


@dataclass(frozen=True)
class Lenient:
    """What a project's own rules make of an answer: scores of any size, and tokens that may be others.

    ``scores`` is ``None`` where they do not match; a token is -1 where none was found.
    """

    scores: tuple[int, int, int] | None
    tokens: tuple[int, int, int]


def read(pieces: Sequence[bytes], *, ended: bool = True) -> Read | Fault:
    """Return the scores of an answer, or why it has none.

    ``pieces`` are the bytes of its tokens, ``ended`` whether it came to an end by itself. Read is what follows the
    last ``</think>``; accepted are ``(1) visual quality: 4``, the same with a description before the colon, and the
    asked form without numbers, in the asked order. The digit's own token is the score token: a number whose token
    holds more than the digit is not read.
    """
    if not ended:
        return "truncated"
    # Half a character stays the bytes that it is, so that tokens can be counted in bytes.
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    start = max((found.end() for found in _BETWEEN.finditer(text)), default=0)
    match = _ANSWER.search(text, start)
    if match is None or "<think>" in text[start:].lower():  # thoughts that never end are no answer
        return "unparsed"
    if any(number not in DIGITS for number in match.groups()):
        return "out_of_range"
    tokens = tuple(_token_at(pieces, text, match.start(i)) for i in (1, 2, 3))
    first, second, third = tokens
    if any(pieces[token] != digit.encode() for token, digit in zip(tokens, match.groups(), strict=True)):
        return "unparsed"
    return Read(_three(match), (first, second, third))


def upstream(pieces: Sequence[bytes]) -> Lenient:
    """Return what VideoScore2's own script makes of an answer: the first match anywhere, also inside the thinking.

    The score token is the first digit anywhere behind the first place where the label stands.
    """
    return _lenient(pieces, _UPSTREAM, [f"{label}:" for label in LABELS])


def fastvideo(pieces: Sequence[bytes]) -> Lenient:
    """Return what FastVideo makes of an answer: three numbered lines, with or without a description."""
    return _lenient(pieces, _FASTVIDEO, [f"({i}) {label}" for i, label in enumerate(LABELS, start=1)])


def _lenient(pieces: Sequence[bytes], pattern: re.Pattern[str], labels: Sequence[str]) -> Lenient:
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    match = pattern.search(text)
    first, second, third = (_score_token(pieces, text, label) for label in labels)
    return Lenient(None if match is None else _three(match), (first, second, third))


def _score_token(pieces: Sequence[bytes], text: str, label: str) -> int:
    at = text.lower().find(label)
    digit = None if at < 0 else re.compile(r"\d").search(text, at + len(label))
    return -1 if digit is None else _token_at(pieces, text, digit.end() - 1)


def _token_at(pieces: Sequence[bytes], text: str, index: int) -> int:
    """Return the token that ends behind the character at ``index``, or that holds it."""
    end = len(text[: index + 1].encode("utf-8", "surrogateescape"))
    for token, piece in enumerate(pieces):
        end -= len(piece)
        if end <= 0:
            return token
    return -1


def _three(match: re.Match[str]) -> tuple[int, int, int]:
    first, second, third = (int(number) for number in match.groups())
    return first, second, third
