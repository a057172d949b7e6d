"""Calls to a judge: what is sent, what counts as an answer, and what to do about a call that fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.metrics.judge.verdicts import WINNERS, Winner

if TYPE_CHECKING:
    import torch

_LONGEST_PAUSE_S = 60.0
_DOWN_S = 60.0
"""For how long a server that could not be reached is not asked again: a run asks it about every pair."""
_EXCERPT = 160


@dataclass(frozen=True)
class Shown:
    """A clip or a picture in a request: its file and its content hash, and the frames that a client may send instead.

    ``frames`` is ``(T, 3, H, W)`` uint8; ``fps`` is the clip's rate; ``kind`` is ``"video"`` or ``"image"``.
    """

    kind: str
    digest: str
    path: str | None = None
    frames: torch.Tensor | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Request:
    """One question to a judge: what the system is told, and words, clips and pictures in order.

    ``number`` tells calls with the same content apart; ``schema`` describes the JSON object that is wanted.
    """

    system: str
    parts: tuple[str | Shown, ...]
    schema: Mapping[str, Any]
    temperature: float
    number: int = 0


@dataclass(frozen=True)
class Reply:
    """What a judge said, and the name of the model that said it, as it gives it."""

    text: str
    served: str


@dataclass(frozen=True)
class Answer:
    """A reply that can be read: the winner, the reasons that came with it, and who was asked."""

    winner: Winner
    reasons: Mapping[str, str]
    served: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"winner": self.winner, "reasons": dict(self.reasons), "served": self.served}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Answer:
        """Return what :meth:`to_json` gave."""
        return cls(tree["winner"], tree["reasons"], tree["served"])


class CallError(VidmetricsError):
    """A call that gave no answer. ``again``: another try may succeed, after ``pause_s`` if the judge says so.

    ``is_down``: the judge could not be reached or cannot serve, which the next call would find too.
    """

    def __init__(self, reason: str, *, again: bool, is_down: bool = False, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.again, self.is_down, self.pause_s = again, is_down, pause_s


class Client(Protocol):
    """Where a judge is asked."""

    @property
    def waits(self) -> bool:
        """Whether a pause before another try helps: not where the judge is a network of this process."""

    def ask(self, request: Request, attempt: int) -> Reply:
        """Return the reply to a request; ``attempt`` counts tries from 0. Raises :class:`CallError`."""

    def identity(self) -> dict[str, Any]:
        """Return what the answers depend on besides the request, as JSON values."""


class Caller:
    """Asks until there is an answer: ``retries`` further tries, with pauses that double from ``pause_s``.

    A try that fails is never an answer. After a judge could not be reached, calls fail at once for a minute.
    """

    def __init__(
        self,
        client: Client,
        retries: int,
        pause_s: float,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self._retries, self._pause_s, self._sleep, self._now = retries, pause_s, sleep, now
        self._down_since, self._down = float("-inf"), ""

    def ask(self, request: Request) -> Answer:
        """Return the answer to a request. Raises :class:`CallError` when there is none."""
        if self._now() - self._down_since < _DOWN_S:
            raise CallError(f"{self._down}; not asked again for a while", again=False, is_down=True)
        for attempt in range(self._retries + 1):
            try:
                reply = self.client.ask(request, attempt)
                return read_answer(reply)
            except CallError as error:
                if not error.again or attempt == self._retries:
                    if error.is_down:
                        self._down_since, self._down = self._now(), str(error)
                    tries = f" ({attempt + 1} tries)" if attempt else ""
                    raise CallError(f"{error}{tries}", again=False, is_down=error.is_down) from error
                if self.client.waits:
                    pause = self._pause_s * 2**attempt if error.pause_s is None else error.pause_s
                    self._sleep(min(pause, _LONGEST_PAUSE_S))
        raise AssertionError("the last try returns or raises")


def read_answer(reply: Reply) -> Answer:
    """Return what a reply says: a JSON object, perhaps with words or a fence around it, that names a winner.

    Raises :class:`CallError`, worth another try, for half an object, another kind of text, and a winner that is none
    of the three: that is no vote for anybody.
    """
    start, end = reply.text.find("{"), reply.text.rfind("}")
    try:
        tree = json.loads(reply.text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise CallError(f"the answer is not a JSON object: {excerpt(reply.text)}", again=True)
    winner = tree.get("winner")
    if winner not in WINNERS:
        raise CallError(f"the winner is {excerpt(winner)}, not one of {', '.join(WINNERS)}", again=True)
    reasons = {str(key): str(value) for key, value in tree.items() if key != "winner"}
    return Answer(cast("Winner", winner), reasons, reply.served)


def excerpt(value: Any) -> str:
    """Return what somebody else said, short and escaped: it cannot move a terminal's cursor."""
    text = value if isinstance(value, str) else repr(value)
    shown = repr(text[:_EXCERPT])
    return f"{shown} …" if len(text) > _EXCERPT else shown
