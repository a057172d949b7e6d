"""Stand-ins for CLAP's published files: few words, one block per stage, a byte per token."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch

from tests.support.oracle_fill import fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "audio"


def filled(name: str) -> dict[str, torch.Tensor]:
    """Return the weights that the recorded values were made with."""
    with gzip.open(DATA / f"{name}.keys.json.gz", "rt") as stream:
        keys = json.load(stream)
    return fill_state_dict({key: tuple(shape) for key, (shape, kind) in keys.items() if kind.startswith("float")})


def small() -> dict[str, torch.Tensor]:
    """Return weights with the published keys and 300 words."""
    state = filled("clap_score_shallow")
    key = "text_model.embeddings.word_embeddings.weight"
    return {**state, key: state[key][:300].clone()}


def write_tokenizer(folder: Path) -> Path:
    """Write a ``tokenizer.json`` with RoBERTa's markers whose token of a letter is its code point + 4."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = pre_tokenizers.ByteLevel.alphabet()
    vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    others = iter(range(132, 400))
    vocab |= {letter: ord(letter) + 4 if ord(letter) < 127 else next(others) for letter in sorted(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path
