"""Stand-ins for CLAP's published files: few words, one block per stage, a byte per token."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch

from tests.support.oracle_fill import fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "audio"


def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    with gzip.open(DATA / f"{name}.keys.json.gz", "rt") as stream:
        keys = json.load(stream)
    return {key: tuple(shape) for key, (shape, kind) in keys.items() if kind.startswith("float")}


def filled(name: str) -> dict[str, torch.Tensor]:
    """Return the weights that the recorded values were made with."""
    return fill_state_dict(_shapes(name))


def small() -> dict[str, torch.Tensor]:
    """Return weights with the published keys and 300 words: the first of :func:`filled`, which fills row by row."""
    shapes = _shapes("clap_score_shallow")
    key = "text_model.embeddings.word_embeddings.weight"
    return fill_state_dict({**shapes, key: (300, *shapes[key][1:])})


def laion_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the same weights under the names of laion_clap, with some that the embeddings do not need."""
    found = {
        "module.audio_branch.spectrogram_extractor.stft.conv_real.weight": torch.ones(3),
        "module.audio_branch.head.weight": torch.ones(2, 2),
        "module.audio_branch.layers.0.blocks.1.attn_mask": torch.zeros(4, 8, 8),
        "module.audio_branch.bn0.num_batches_tracked": torch.tensor(7),
        "module.text_transform.sequential.0.weight": torch.ones(2, 2),
    }
    pairs = {
        "audio_model.audio_encoder": "audio_branch",
        "text_model": "text_branch",
        "batch_norm": "bn0",
        "projection.linear1": "projection.0",
        "projection.linear2": "projection.2",
    }
    blocks = {
        "attention.output.dense": "attn.proj",
        "attention.self": "attn",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
    }
    for key, value in state.items():
        name = key
        for new, old in {**pairs, **(blocks if ".blocks." in key else {})}.items():
            name = name.replace(new, old)
        if "attn.query" in name:
            rows = [state[key.replace("query", part)] for part in ("query", "key", "value")]
            found[f"module.{name.replace('query', 'qkv')}"] = torch.cat(rows)
        elif "attn.key" not in name and "attn.value" not in name:
            found[f"module.{name}"] = value
    return found


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
