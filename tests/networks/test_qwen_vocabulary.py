"""Prompts as ids of the real vocabulary, where the package ``dashscope`` (which holds it) is installed."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_vidmetrics.networks.qwen import chat
from pytest_vidmetrics.networks.qwen.pixels import Seen
from tests.support.qwen import OMNI_SPECIAL, VL_SPECIAL, letters, recorded

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(importlib.util.find_spec("dashscope") is None, reason="pip install dashscope"),
]
SEEN = Seen(torch.zeros(1), (1, 2, 2), 1.0)


def _halves(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """Return the two tokens that were merged into ``token``: merge all pairs of lower rank, lowest first."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while True:
        pairs = [(ranks.get(a + b, len(ranks)), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
        rank, at = min(pairs)
        if rank >= ranks[token]:
            return parts
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def _tokenizer(special: tuple[str, ...]) -> Any:
    from transformers import AddedToken, Qwen2Tokenizer

    spec = importlib.util.find_spec("dashscope")
    assert spec is not None
    assert spec.origin is not None
    lines = (Path(spec.origin).parent / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    signs = letters()

    def name(token: bytes) -> str:
        return "".join(signs[byte] for byte in token)

    merges = [_halves(token, ranks) for token in sorted(ranks, key=lambda one: ranks[one]) if len(token) > 1]
    vocabulary = {name(token): rank for token, rank in ranks.items()}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[(name(a), name(b)) for a, b in merges])
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def test_ids_of_prompts_are_the_recorded_ones() -> None:
    prompts = recorded("vlm_prompts")["expected"]
    tokenizer = _tokenizer(VL_SPECIAL)
    for case in recorded("videoscore2_prompt")["expected"]["cases"]:
        for project in ("upstream", "fastvideo"):
            asked = prompts[f"videoscore2_{project}"]["template"].replace("$t2v_prompt", case["t2v_prompt"])
            ids = tokenizer(chat.chat_text([SEEN, asked], None, chat.VL), add_special_tokens=False)["input_ids"]
            text = json.dumps(ids, separators=(",", ":"))
            assert hashlib.sha256(text.encode()).hexdigest() == case[project]["ids_sha256_of_json"]
    scene, wanted = prompts["scene_fastvideo"], recorded("scene_vlm_tiny")["prompt"]
    text = chat.chat_text([SEEN, scene["user"]], scene["system"], chat.OMNI)
    ids = _tokenizer(OMNI_SPECIAL)(text, add_special_tokens=False)["input_ids"]
    assert ids == wanted["fastvideo_ids_qwen2_vocabulary"]
