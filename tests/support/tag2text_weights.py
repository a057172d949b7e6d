"""Stand-in files of Tag2Text: weights in the published layout, BERT's vocabulary, and the names of the tags."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from tests.support.oracle_fill import fill_state_dict
from tests.support.wordpiece import write_vocabulary

_DATA = Path(__file__).parents[1] / "data" / "vbench"
_NARROW = {768: 64, 3072: 128, 1024: 256}
_DROPPED = ("relative_position_index", "attn_mask", "position_ids")
State = dict[str, torch.Tensor]


def tag_names() -> list[str]:
    """Return 3,429 names, each one word piece of the made-up vocabulary."""
    numbers = (2000 + j for j in range(3429))
    return [f"tok{n}" if n % 5 != 4 else f"tok{18001 + n}" for n in numbers]


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every float tensor of the published file."""
    with gzip.open(_DATA / "tag2text.keys.json.gz", "rt") as stream:
        listed = json.load(stream)
    return {key: tuple(shape) for key, (shape, _) in listed.items() if not key.endswith(_DROPPED)}


def full_state() -> State:
    """Return the published layout at full size, filled: 372 million values."""
    return _tied(fill_state_dict(published_shapes()))


def has_two_layers(key: str) -> bool:
    """Whether a tensor belongs to a network of two blocks a stage and two text layers a stack."""
    return _number(key, ".blocks.") < 2 and _number(key, ".layer.") < 2


def narrow_state() -> State:
    """Return a network of the same shape in the small: Swin of depths 2, 2, 2, 2, text stacks of two layers."""
    found = {}
    for key, shape in published_shapes().items():
        if has_two_layers(key):
            found[key] = _narrow_visual(key, shape) if key.startswith("visual_encoder.") else _narrow_text(shape)
    state = _tied(fill_state_dict(found))
    # Filled weights make all captions of a clip alike; these two let what a frame shows reach its words.
    for key in state:
        if key.startswith("text_decoder.") and key.endswith("crossattention.output.dense.weight"):
            state[key] = state[key] * 6.0
    state["text_decoder.cls.predictions.bias"][102] += 2.0
    return state


def lively(state: Mapping[str, torch.Tensor]) -> State:
    """Return the changes after filling that the recorded captions were made with."""
    changed = dict(state)
    changed["text_decoder.cls.predictions.bias"] = state["text_decoder.cls.predictions.bias"].clone()
    changed["text_decoder.cls.predictions.bias"][102] += 2.0
    outputs = ("attention.output.dense.weight", "output.dense.weight")
    for key, value in state.items():
        if key.startswith("tag_encoder.encoder.layer.") and key.endswith(outputs) and _number(key, ".layer.") >= 2:
            changed[key] = value * 0.05
        if key.startswith("text_decoder.") and key.endswith("crossattention.output.dense.weight"):
            changed[key] = value * 2.0
    last = "tag_encoder.encoder.layer.11.output.LayerNorm.weight"
    changed[last] = state[last] * 1.5
    return changed


def write_weights(folder: Path, state: Mapping[str, torch.Tensor] | None = None) -> dict[str, str]:
    """Write the three files and return the environment variables that name them; the narrow network unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    network, tags = folder / "tag2text.pth", folder / "tags.txt"
    torch.save({"model": dict(narrow_state() if state is None else state), "epoch": 3}, network)
    tags.write_text("\n".join(tag_names()), "utf-8")
    vocabulary = write_vocabulary(folder / "vocab.txt")
    return {
        "VIDMETRICS_TAG2TEXT": str(network),
        "VIDMETRICS_TAG2TEXT_TAGS": str(tags),
        "VIDMETRICS_BERT_VOCABULARY": str(vocabulary),
    }


def _tied(state: State) -> State:
    for key in [key for key in state if key.startswith("vision_multi.")]:
        state[key] = state[key.replace("vision_multi.", "tag_encoder.")]
    head, words = "text_decoder.cls.predictions", "text_decoder.bert.embeddings.word_embeddings.weight"
    state[f"{head}.decoder.weight"], state[f"{head}.decoder.bias"] = state[words], state[f"{head}.bias"]
    return state


def _number(key: str, after: str) -> int:
    """Return the number behind a part of a key, or -1."""
    return int(key.split(after, 1)[1].split(".", 1)[0]) if after in key else -1


def _narrow_visual(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if key.endswith("patch_embed.proj.weight"):
        return (shape[0] // 4, *shape[1:])
    return tuple(side if side == 529 else side // 4 for side in shape)


def _narrow_text(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_NARROW.get(side, side) for side in shape)
