"""Tiny Qwen checkpoints that answer by rules: real networks whose weights are written, not trained.

One layer looks at all tokens alike and writes what it saw beside the last token: which marks and phrases there are,
and the mean of one feature of the clip. The head turns the last token and these into the next token. So an answer is
well formed, depends on the clip a little and on the prompt's marks a lot, and nothing of the network is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.oracle_fill import fill_array
from tests.support.qwen import omni_config, recorded, vl_config, write_files, write_weights

END = "<|im_end|>"
CLIP = "the clip"
"""The name under which rules weigh the clip's feature."""

_STATES, _SEEN_IN, _VIDEO, _WORD, _SEEN_OUT, _VIDEO_OUT = 0, 16, 30, 31, 32, 47
_MOST_SEEN = 14
_ROOM = 64
"""Ids from 272 on, for phrases."""
_FIRST_PHRASE = 270


@dataclass(frozen=True)
class Actor:
    """``after[token][next]`` is how much ``next`` is wanted after ``token``; ``when[mark][next]`` how much more it is
    wanted once ``mark`` stands anywhere before (or, for :data:`CLIP`, by the clip's feature)."""

    after: Mapping[str, Mapping[str, float]]
    when: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    alike: tuple[str, ...] = ()
    """Tokens that are one and the same to ``after``, under the name of the first."""

    def phrases(self) -> tuple[str, ...]:
        """Return every token that the rules name and that a byte is not."""
        names = [*self.after, *self.when, *(n for rule in (*self.after.values(), *self.when.values()) for n in rule)]
        return tuple(dict.fromkeys(name for name in names if len(name.encode()) > 1 and name not in (END, CLIP)))


def write_actor(folder: Path, kind: str, actor: Actor) -> Path:
    """Write a checkpoint of the ``kind`` ``"vl"`` or ``"omni"`` that plays ``actor``."""
    phrases = actor.phrases()
    size = _FIRST_PHRASE + _ROOM
    write_files(folder, kind, vl_config(size) if kind == "vl" else omni_config(size), phrases)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 258, "do_sample": True}))
    name = "videoscore2_tiny" if kind == "vl" else "scene_vlm_tiny"
    keys: dict[str, list[int]] = recorded(name)["checkpoint"]["keys"]
    arrays = {key: fill_array(key, tuple(shape)) for key, shape in keys.items()}
    _script(arrays, actor, {phrase: _FIRST_PHRASE + i for i, phrase in enumerate(phrases)}, size)
    prefix = "" if kind == "vl" else "thinker."
    write_weights(folder, {prefix + key: np.ascontiguousarray(value) for key, value in arrays.items()})
    return folder


def _script(arrays: dict[str, npt.NDArray[np.float32]], actor: Actor, ids: dict[str, int], size: int) -> None:
    def id_of(token: str) -> int:
        return 258 if token == END else ids[token] if token in ids else token.encode()[0]

    def named(end: str) -> str:
        return next(key for key in arrays if key.endswith(end) and "audio" not in key)

    for key in list(arrays):
        if "visual" not in key and "audio" not in key and not key.endswith("norm.weight"):
            arrays[key] = np.zeros_like(arrays[key])
    # The clip: one feature, on an axis of its own, beside a constant that keeps its size through the norm.
    weight, bias = named("visual.merger.mlp.2.weight"), named("visual.merger.mlp.2.bias")
    kept = arrays[weight][0].copy()
    arrays[weight], arrays[bias] = np.zeros_like(arrays[weight]), np.zeros_like(arrays[bias])
    arrays[weight][_VIDEO], arrays[bias][_WORD] = kept, 1.0
    embed, head = np.zeros((size, 64), np.float32), np.zeros((size, 64), np.float32)
    embed[:, _WORD] = 1.0
    states = list(actor.after)
    for i, token in enumerate(states):
        for one in actor.alike if token in actor.alike else (token,):
            embed[id_of(one)] = 0.0
            embed[id_of(one), _STATES + i] = 1.0
        for following, much in actor.after[token].items():
            head[id_of(following), _STATES + i] = much
    seen = [mark for mark in actor.when if mark != CLIP]
    assert len(states) <= 16
    assert len(seen) <= _MOST_SEEN
    v = arrays[named("layers.0.self_attn.v_proj.weight")]
    o = arrays[named("layers.0.self_attn.o_proj.weight")]
    for j, mark in enumerate(seen):
        embed[id_of(mark), _SEEN_IN + j] = 1.0
        v[j, _SEEN_IN + j], o[_SEEN_OUT + j, j] = 1.0, 500.0
        for following, much in actor.when[mark].items():
            head[id_of(following), _SEEN_OUT + j] = much
    v[15, _VIDEO], o[_VIDEO_OUT, 15] = 1.0, 1.0
    for following, much in actor.when.get(CLIP, {}).items():
        head[id_of(following), _VIDEO_OUT] = much
    arrays[named("embed_tokens.weight")], arrays["lm_head.weight"] = embed, head
    for key in arrays:
        if key.endswith("norm.weight") and "layers" in key and "visual" not in key and "audio" not in key:
            arrays[key] = np.ones_like(arrays[key])
    last = "model.norm.weight" if "model.norm.weight" in arrays else named("language_model.norm.weight")
    arrays[last] = np.full(64, 2.0, np.float32)


FIRST = "<think>\nSharp, and steady.\n</think>\n\n(1) visual quality: "
SECOND = "\n(2) text-to-video alignment: "
THIRD = "\n(3) physical/common-sense consistency: "
REFUSAL = "I would rather not give numbers\x1b[31m\u202e here."
RAMBLING = " and so on"
UNREADABLE, ENDLESS = "~", "^"
"""Marks in a prompt: the judge does not give numbers, or never ends."""


def judge() -> Actor:
    """Return a VideoScore2 that gives three scores, unless a mark in the prompt says otherwise."""

    def digits(middle: float) -> dict[str, float]:
        return {str(k): 2.0 - 0.15 * (k - middle) ** 2 for k in range(1, 6)}

    return Actor(
        after={
            "\n": {FIRST: 2.0},
            FIRST: digits(3.7),
            SECOND: digits(3.2),
            THIRD: digits(4.4),
            "1": {SECOND: 6.0, THIRD: 5.0, END: 4.0},
            REFUSAL: {END: 2.0},
            RAMBLING: {RAMBLING: 2.0},
        },
        when={
            CLIP: {str(k): 0.4 * (k - 3) for k in range(1, 6)},
            SECOND: {SECOND: -20.0},
            THIRD: {THIRD: -20.0},
            UNREADABLE: {REFUSAL: 4.0},
            REFUSAL: {REFUSAL: -8.0},
            ENDLESS: {RAMBLING: 4.0},
        },
        alike=("1", "2", "3", "4", "5"),
    )


BEACH = "A sandy Beach, waves and \x1b[2Jgulls\u202e above a barn."
ALLEY = "A narrow ALLEY between brick walls, beaches far away."


def captioner() -> Actor:
    """Return a captioner that sees a beach in dark clips and an alley in others; it writes control characters too."""
    return Actor(
        after={"\n": {BEACH: 2.3, ALLEY: 2.0}, BEACH: {END: 3.0}, ALLEY: {END: 3.0}},
        when={CLIP: {BEACH: 1.0, ALLEY: -1.0}, BEACH: {BEACH: -9.0, ALLEY: -9.0}, ALLEY: {BEACH: -9.0, ALLEY: -9.0}},
    )
