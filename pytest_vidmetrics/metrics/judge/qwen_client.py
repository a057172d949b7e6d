"""A judge in this process: Qwen2.5-VL from a local checkpoint, by the front end that the other judges use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.metrics.judge.calls import CallError, Reply, Request, Shown

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.qwen.asking import Asker, Clip, Picture

FPS = 2.0
_TRIES = 1000
"""Draws of one call: tries of the same call are numbered apart from other calls."""


@dataclass(frozen=True)
class QwenClient:
    """Asks a network, which sees clips at 2 frames a second at their true times and draws its answers."""

    asker: Asker
    model: str
    max_tokens: int
    waits: bool = False

    def identity(self) -> dict[str, Any]:
        """Return the checkpoint's name and how it is run; its bytes are named by the metric's weights."""
        from pytest_vidmetrics.networks.qwen.asking import RECIPE

        return {
            "client": "qwen",
            "model": self.model,
            "dtype": self.asker.dtype,
            "attention": self.asker.attention,
            "max_tokens": self.max_tokens,
            "recipe": RECIPE,
        }

    def ask(self, request: Request, attempt: int) -> Reply:
        """Return the answer to a request."""
        from pytest_vidmetrics.networks.qwen.asking import Choice, Question

        parts = tuple(part if isinstance(part, str) else _shown(part) for part in request.parts)
        choice = Choice(self.max_tokens, request.temperature, request.number * _TRIES + attempt)
        said = self.asker.ask(Question(parts, request.system), choice)
        if not said.ended:
            raise CallError(f"the answer did not end within {self.max_tokens} tokens", again=True)
        return Reply(said.text, f"{self.model} on {said.made['device']}, torch {said.made['torch']}")


def _shown(part: Shown) -> Clip | Picture:
    from pytest_vidmetrics.networks.qwen import frames, pixels
    from pytest_vidmetrics.networks.qwen.asking import Clip, Picture

    assert part.frames is not None
    if part.kind == "image":
        return Picture(part.frames[0])
    if part.fps is None:
        raise IncompatibleSampleError(
            'a clip has no frame rate, as folders of images have none: give "fps" and "reference_fps" in the sample'
        )
    chosen = frames.path_rule(len(part.frames), part.fps, FPS)
    assert chosen.rate is not None
    return Clip(part.frames[list(chosen.indices)], seconds=pixels.PAIR / chosen.rate)
