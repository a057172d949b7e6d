"""Questions about a clip: asked once, the answer kept in the store of the engine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.weights import Weights, resolve, weights_sha256
from pytest_vidmetrics.media.pixels import frame_digest
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.qwen import pixels
from pytest_vidmetrics.networks.qwen.checkpoint import Attention, Dtype, Qwen, load
from pytest_vidmetrics.networks.qwen.decode import Answer, Decoding, Step
from pytest_vidmetrics.networks.qwen.sizes import MOST

Route = Literal["path", "fastvideo"]

RECIPE = 1
"""Changes whenever the same frames and words may get another answer from the same checkpoint."""


@dataclass(frozen=True)
class Clip:
    """The chosen frames of a clip, as part of a question.

    ``frames`` is ``(T, 3, H, W)`` uint8; ``route`` and ``most`` (pixels of a frame) say how they are resized;
    ``seconds`` is how much time a pair of frames stands for.
    """

    frames: torch.Tensor
    route: Route = "path"
    most: int = MOST
    seconds: float = 1.0

    def seen(self) -> pixels.Seen:
        """Return the clip as the network sees it."""
        if self.route == "fastvideo":
            return pixels.clip(pixels.fastvideo_frames(self.frames), self.seconds)
        return pixels.clip(pixels.clip_frames(self.frames, self.most), self.seconds)

    def content(self) -> list[Any]:
        """Return what the network sees of it, as a JSON value."""
        return ["clip", [frame_digest(frame) for frame in self.frames.cpu()], self.route, self.most, self.seconds]


@dataclass(frozen=True)
class Picture:
    """A ``(3, H, W)`` uint8 picture, as part of a question."""

    image: torch.Tensor

    def seen(self) -> pixels.Seen:
        """Return the picture as the network sees it."""
        return pixels.picture(self.image)

    def content(self) -> list[Any]:
        """Return what the network sees of it, as a JSON value."""
        return ["picture", frame_digest(self.image)]


@dataclass(frozen=True)
class Question:
    """One message: words, clips and pictures in order, and what the system is told before."""

    parts: tuple[str | Clip | Picture, ...]
    system: str | None = None

    def content(self) -> list[Any]:
        """Return what the answer depends on, as a JSON value."""
        return [self.system, [part if isinstance(part, str) else part.content() for part in self.parts]]


@dataclass(frozen=True)
class Choice:
    """How an answer is chosen: at most ``most`` tokens, the likeliest, or drawn at a ``temperature``.

    ``replicate`` tells several draws about one clip apart. Draws depend on the clip, the words and this number only.
    """

    most: int
    temperature: float | None = None
    replicate: int = 0


@dataclass(frozen=True)
class Said:
    """An answer, and how it came about.

    ``pieces`` are the bytes of its tokens; ``ended`` whether it came to an end before the limit; ``steps`` what is
    known of the tokens that are one of the watched words; ``gap`` the smallest distance between the two best tokens
    of a step (``None``: only one was possible); ``made`` on which device and with which versions it was computed;
    ``shown`` what the network saw: frames, their height and width (of the first clip), tokens; ``settings`` are those
    of the checkpoint.
    """

    pieces: tuple[bytes, ...]
    ended: bool
    steps: Mapping[int, Step]
    gap: float | None
    made: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The answer as text; bytes that are no text are shown as such."""
        return b"".join(self.pieces).decode("utf-8", "replace")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values. Minus infinity, which JSON does not have, becomes ``None``."""
        return {
            "pieces": [piece.decode("latin-1") for piece in self.pieces],
            "ended": self.ended,
            "steps": {str(index): _without_infinity(asdict(step)) for index, step in self.steps.items()},
            "gap": self.gap,
            "made": dict(self.made),
            "shown": dict(self.shown),
            "settings": dict(self.settings),
        }

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Said:
        """Return what :meth:`to_json` gave. Raises ``LookupError`` or ``TypeError`` for anything else."""
        return cls(
            tuple(piece.encode("latin-1") for piece in tree["pieces"]),
            bool(tree["ended"]),
            # JSON has texts as keys only.
            {int(index): _with_infinity(step) for index, step in tree["steps"].items()},
            tree["gap"],
            tree["made"],
            tree["shown"],
            tree["settings"],
        )


@dataclass(frozen=True)
class Asker:
    """A checkpoint on a device; ``metric`` is who asks, for messages about weights that are missing.

    The network is loaded for the first answer that the store does not have.
    """

    weights: Weights
    device: torch.device | str
    dtype: Dtype
    attention: Attention
    metric: str

    def check(self) -> None:
        """Raise :class:`~pytest_vidmetrics.core.errors.UnavailableError` without the weights; load nothing."""
        resolve(self.weights, self.metric)

    def network(self) -> Qwen:
        """Return the network, shared by all who ask for the same checkpoint."""
        return load(self.weights, self.device, self.dtype, self.attention, self.metric)

    def ask(self, question: Question, choice: Choice, watched: Sequence[str] = ()) -> Said:
        """Return the answer: of this sample, of the store, or of the network."""
        content = question.content()
        key = digest_json(
            [
                ["qwen", RECIPE, weights_sha256(self.weights, self.metric), self.dtype, self.attention],
                [content, asdict(choice), list(watched)],
            ]
        )
        return shared.once(("qwen answer", key), lambda: self._kept(key, question, content, choice, watched))

    def _kept(self, key: str, question: Question, content: list[Any], choice: Choice, watched: Sequence[str]) -> Said:
        keeper = shared.keeper()
        if keeper is not None and (found := keeper.get_json("answers", key)) is not None:
            return Said.from_json(found)
        said = self._fresh(question, choice, digest_json([content, choice.replicate]), watched)
        if keeper is not None:
            keeper.put_json("answers", key, said.to_json())
        return said

    def _fresh(self, question: Question, choice: Choice, seed: str, watched: Sequence[str]) -> Said:
        qwen = self.network()
        prompt = qwen.prompt(
            [part if isinstance(part, str) else part.seen() for part in question.parts], question.system
        )
        settings = qwen.settings
        how = Decoding(
            choice.most,
            settings.penalty,
            choice.temperature,
            settings.top_k,
            settings.top_p,
            f"{seed}/{choice.replicate}",
        )
        answer = qwen.answer(prompt, how, [qwen.word(word) for word in watched])
        shared.forwards["qwen answers"] += 1
        pieces = qwen.pieces(answer.ids)
        words = {word.encode() for word in watched}
        drawn = {} if choice.temperature is None else {"top_k": float(settings.top_k), "top_p": settings.top_p}
        return Said(
            tuple(pieces),
            answer.ended,
            # Only steps that chose a watched word are kept.
            {index: answer.steps[index] for index, piece in enumerate(pieces) if piece in words},
            answer.gap if math.isfinite(answer.gap) else None,
            made_on(self.device),
            _shown(question, prompt.seen, answer),
            {"repetition_penalty": settings.penalty, **drawn},
        )


def _shown(question: Question, seen: Sequence[pixels.Seen], answer: Answer) -> dict[str, int]:
    clips = [part for part in question.parts if isinstance(part, Clip)]
    first = next((one for one in seen if one.seconds is not None), None)
    found = {} if first is None else {"height": first.grid[1] * pixels.PATCH, "width": first.grid[2] * pixels.PATCH}
    tokens = sum(one.tokens for one in seen)
    return {
        "frames": sum(len(clip.frames) for clip in clips),
        **found,
        "tokens": tokens,
        "answer_tokens": len(answer.ids),
    }


def made_on(device: torch.device | str) -> dict[str, str]:
    """Return the kind of a device and the versions whose kernels an answer depends on."""
    import transformers

    where = torch.device(device)
    kind = torch.cuda.get_device_name(where) if where.type == "cuda" else where.type
    # Without what follows a plus, such as cu128.
    return {"device": kind, "torch": torch.__version__.partition("+")[0], "transformers": transformers.__version__}


def _without_infinity(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _finite(value) if isinstance(value, float) else list(map(_finite, value)) for name, value in step.items()
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _with_infinity(step: Mapping[str, Any]) -> Step:
    logits, scores = (
        tuple(-math.inf if value is None else float(value) for value in step[name]) for name in ("logits", "scores")
    )
    return Step(logits, float(step["logits_sum"]), scores, float(step["scores_sum"]))
