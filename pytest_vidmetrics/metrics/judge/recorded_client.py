"""Answers from a file instead of a judge: for tests, and to compute a score again without asking anybody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.judge.calls import CallError, Reply, Request, Shown

_EVERY = "*"


@dataclass(frozen=True)
class RecordedClient:
    """Gives recorded answers, found by the content of the two clips in the order in which they are shown.

    The file is a JSON object ``{"<first>|<second>": [answer, ...], "*": [answer, ...]}`` of the first 16 digits of
    each clip's sha256; ``"*"`` is for every pair that has no entry of its own. Call ``i`` of an order takes answer
    ``i``, over and over. An answer is a text as a judge would give it, or one of ``video_1``, ``video_2``, ``tie``.
    """

    answers: dict[str, list[str]]
    model: str
    waits: bool = False

    @classmethod
    def read(cls, path: Path, model: str, metric: str) -> RecordedClient:
        """Return the client of a file. Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError`."""
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{metric}: the recording {path} cannot be read: {error}") from error
        fits = isinstance(tree, dict) and all(
            isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
            for texts in tree.values()
        )
        if not fits:
            raise UnavailableError(f'{metric}: {path} is not a recording: expected {{"<first>|<second>": [answers]}}')
        return cls(tree, model)

    def identity(self) -> dict[str, Any]:
        """Return the name under which the answers were recorded; the file is among the metric's weights."""
        return {"client": "recorded", "model": self.model}

    def ask(self, request: Request, attempt: int) -> Reply:
        """Return the recorded answer."""
        del attempt
        clips = [part.digest[:16] for part in request.parts if isinstance(part, Shown) and part.kind == "video"]
        texts = self.answers.get("|".join(clips)) or self.answers.get(_EVERY)
        if texts is None:
            raise CallError(f"nothing is recorded for the clips {' and '.join(clips)}", again=False)
        text = texts[request.number % len(texts)]
        return Reply(text if "{" in text else json.dumps({"winner": text}), self.model)
