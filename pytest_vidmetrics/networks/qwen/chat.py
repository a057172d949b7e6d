"""Prompts: from parts of a message to the text and the token ids that the network reads, and back from ids to bytes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks.qwen.pixels import Seen

Part = str | Seen
"""A piece of a message: words, or a clip or picture."""

VL_SYSTEM = "You are a helpful assistant."
"""What Qwen2.5-VL's own template says where a message has no system text."""


@dataclass(frozen=True)
class Prompt:
    """What the network reads: ``ids`` with one placeholder for every token of the clips and pictures ``seen``."""

    ids: tuple[int, ...]
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class Signs:
    """The texts around a clip or picture, and the texts that stand for them."""

    start: str
    end: str
    video: str
    image: str


VL = Signs("<|vision_start|>", "<|vision_end|>", "<|video_pad|>", "<|image_pad|>")
OMNI = Signs("<|vision_bos|>", "<|vision_eos|>", "<|VIDEO|>", "<|IMAGE|>")


def message(parts: Sequence[Part], system: str | None) -> list[dict[str, Any]]:
    """Return a conversation of one user message, as templates of checkpoints take it."""
    said: list[dict[str, Any]] = [{"type": "text", "text": system}] if system is not None else []
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
        else:
            kind = "image" if part.seconds is None else "video"
            # A word stands in for the picture: the template asks only what kind it is.
            content.append({"type": kind, kind: "shown"})
    turns = [{"role": "system", "content": said}] if said else []
    return [*turns, {"role": "user", "content": content}]


def chat_text(parts: Sequence[Part], system: str | None, signs: Signs) -> str:
    """Return the chat text that the templates of Qwen2.5-VL and Qwen2.5-Omni make of one user message.

    One placeholder stands for a clip or picture of any size; without ``system``, the default of Qwen2.5-VL is said.
    """
    inside = "".join(
        part
        if isinstance(part, str)
        else f"{signs.start}{signs.image if part.seconds is None else signs.video}{signs.end}"
        for part in parts
    )
    turns = (("system", VL_SYSTEM if system is None else system), ("user", inside))
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"


def refuse_special(texts: Iterable[str], special: Iterable[str]) -> None:
    """Raise :class:`IncompatibleSampleError` when a text holds a token that steers the network.

    Nothing in a chat text escapes such a token: it would end the message, or claim pictures that are not there.
    """
    for text in texts:
        found = sorted(token for token in special if token in text)
        if found:
            raise IncompatibleSampleError(
                f"the prompt holds {', '.join(found)}, which the network reads as control tokens: remove them"
            )


def expanded(ids: Sequence[int], seen: Sequence[Seen], placeholders: Sequence[int]) -> tuple[int, ...]:
    """Return ids with each placeholder repeated to the number of tokens of the clip or picture it stands for."""
    shown = iter(seen)
    found: list[int] = []
    for id in ids:
        # In order: the first placeholder is the first clip.
        found.extend([id] * next(shown).tokens if id in placeholders else [id])
    return tuple(found)


@functools.cache
def _bytes_of_letters() -> Mapping[str, int]:
    """Return which byte each letter of a byte-level vocabulary stands for: printable ones stand for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def piece(token: str | None, added: Mapping[str, Any]) -> bytes:
    """Return the bytes of a vocabulary entry; an added token stands for its own text, an id without entry for none."""
    if token is None:
        return b""
    letters = _bytes_of_letters()
    # Letters beyond the table are no bytes: the token is text as it is.
    if token in added or any(letter not in letters for letter in token):
        return token.encode()
    return bytes(letters[letter] for letter in token)
