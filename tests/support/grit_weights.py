"""Stand-in weights for GRiT: the recorded full ones, and a shallow network that finds a few things in a frame."""

from __future__ import annotations

import functools
import gzip
import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from tests.support.kept_files import kept
from tests.support.oracle_fill import clip_uint8, fill_state_dict
from tests.support.wordpiece import write_vocabulary

DATA = Path(__file__).parents[1] / "data" / "grit"
TEXT = "roi_heads.text_decoder.textual."
END_BIAS = TEXT + "output.bias"
SIDES_BIAS = "proposal_generator.centernet_head.bbox_pred.bias"
END = 102
BLOCKS, LAYERS = 3, 2


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of the published file by name."""
    with gzip.open(DATA / "keys.json.gz", "rt") as stream:
        return {key: tuple(shape) for key, (shape, _) in json.load(stream).items()}


def tied(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return ``state`` with one tensor for the words that go in and come out, as in the published file."""
    return {**state, TEXT + "output.weight": state[TEXT + "embedding.words.weight"]}


def full_state() -> dict[str, torch.Tensor]:
    """Return the tensors with which the recorded values were made: 835 MB."""
    return tied(fill_state_dict(shapes()))


def is_shallow(key: str) -> bool:
    """Whether a tensor belongs to a network of three blocks and two text layers."""
    for prefix, depth in (("backbone.bottom_up.blocks.", BLOCKS), (TEXT + "transformer.encoder.layer.", LAYERS)):
        if key.startswith(prefix):
            return int(key.removeprefix(prefix).split(".")[0]) < depth
    return True


OBJECTS = ("person", "car", "dog", "cat", "bench", "bird")
WORDS = {104: "a", **dict(enumerate((*OBJECTS, "red", "blue", "white"), 15000))}
"""The words that the shallow network says, by id; Tag2Text's made-up tags are others."""
_SPREAD, _SHIFT, _SIDES = 4.0, 2.2, 2.0
_SAID, _ENDING, _PULL = 4.0, 3.6, 0.5


@functools.cache
def shallow_state() -> dict[str, torch.Tensor]:
    """Return a network of three blocks and two text layers, in float16.

    It finds a few boxes of tens of pixels in most frames, and says one or two of :data:`WORDS` about each.
    """
    file = kept("grit", write_weights)["VIDMETRICS_GRIT"]
    return tied(torch.load(file, weights_only=True)["model"])


def _made() -> dict[str, torch.Tensor]:
    state = {key: _random(key, shape) for key, shape in shapes().items() if is_shallow(key)}
    for key, value in state.items():
        if key.endswith("cls_score.weight"):
            value *= _SPREAD
        elif key.endswith("cls_score.bias"):
            value[0] -= _SHIFT
        elif key == SIDES_BIAS:
            value += _SIDES
        elif key == END_BIAS:
            value[END] += _ENDING
            value[list(WORDS)[1:]] += [_SAID + 0.35 * (word in ("red", "blue")) for word in list(WORDS.values())[1:]]
    positions = state[TEXT + "embedding.positions.weight"]
    positions[2:] += _PULL * state[TEXT + "embedding.words.weight"][END]  # texts of one or two words
    return tied({key: torch.from_numpy(value).half() for key, value in state.items()})


def _random(key: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    noise = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) <= 1:
        return noise * 0.02 + (1.0 if key.endswith(("weight", "scale")) else 0.0)
    return noise * (0.02 if "embed" in key else math.prod(shape[1:]) ** -0.5)


def changing_clip() -> np.ndarray:
    """Return eight (48, 64, 3) frames: the shallow network sees a car in three, a bird in three, nothing in two.

    One of two birds that come first is white.
    """
    scenes = {seed: clip_uint8(8, 48, 64, seed) for seed in (3, 6, 5)}
    return np.concatenate([scenes[3][[0, 2, 3, 5]], scenes[6][[3, 5]], scenes[5][[4, 2]]])


def write_weights(folder: Path, state: Mapping[str, torch.Tensor] | None = None) -> dict[str, str]:
    """Write network and vocabulary in the published layouts, the shallow network unless given; return the variables."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "grit.pth"
    torch.save({"model": _made() if state is None else dict(state), "iteration": 1}, weights)
    vocabulary = write_vocabulary(folder / "vocab.txt", WORDS)
    return {"VIDMETRICS_GRIT": str(weights), "VIDMETRICS_BERT_VOCABULARY": str(vocabulary)}
