"""Tag2Text Swin-B/384 as VBench uses it: pictures in, tags and captions out.

Source: Vchitect/VBench@45e79ec1 ``third_party/tag2Text`` (xinyu1205/recognize-anything), arXiv 2303.05657. One
frame's caption depends on that frame only; VBench's mix-up of a batch is the metric's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks import wordpiece
from pytest_vidmetrics.networks.tag2text import swin
from pytest_vidmetrics.networks.tag2text.beams import search
from pytest_vidmetrics.networks.tag2text.bert import Embeddings, Stack
from pytest_vidmetrics.networks.tag2text.decoder import CaptionDecoder, Captioning
from pytest_vidmetrics.networks.tag2text.names import read_names

THRESHOLD = 0.7
SILENCED = (127, 3351, 3265, 3338, 3355, 3359)
"""Tags that are never on: number words and a coin."""
PROMPT = "a picture of "
BEGIN, ENCODE = 30522, 30523
"""Two ids behind BERT's vocabulary: the first of a caption, and the first of a list of tags."""
TEXT_LENGTH = 40
TAGGER_LAYERS, TAGGER_HEADS = 2, 4
_SPECIALS = wordpiece.SPECIALS | {BEGIN, ENCODE}
_HIDDEN = -10000.0


@dataclass(frozen=True)
class Described:
    """What the network says about one picture: the names of its tags joined by ``" | "``, and its caption."""

    tags: str
    caption: str


class _GroupLinear(nn.Module):
    """One weight vector and bias per tag."""

    def __init__(self, tags: int, width: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.zeros(1, tags, width))
        self.b = nn.Parameter(torch.zeros(1, tags))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # (N, tags, width) to (N, tags)
        return (self.W * x).sum(-1) + self.b


class _TagEncoder(nn.Module):
    def __init__(self, embeddings: Embeddings, encoder: Stack) -> None:
        super().__init__()
        self.embeddings, self.encoder = embeddings, encoder


class Tag2Text(nn.Module):
    """The network of one published state dict; widths and depths are the file's.

    The tagger's own layers (``vision_multi.*`` or ``tagging_head.*``) are copies of the first two of the tag encoder
    and are not read, nor is the output matrix of the decoder, a copy of its word embeddings. Raises ``ValueError``
    that names the first tensor that is missing or has another shape.
    """

    def __init__(self, state: hf.State, tags: Sequence[str], vocabulary: wordpiece.Vocabulary) -> None:
        super().__init__()
        _check(state, _SHAPING)
        self.visual_encoder: Any = swin.build(state)
        with torch.device("meta"):
            self.text = _TextParts(state)
        keys = self.text.state_dict()
        _check(state, keys)
        hf.assign(self.text, {key: state[key] for key in keys})
        self._tags, self._vocabulary = tuple(tags), vocabulary

    def forward(self, pixels: torch.Tensor) -> list[Described]:
        """Return tags and caption of each normalised ``(N, 3, 384, 384)`` float32 picture."""
        with torch.inference_mode():
            features = self.features(pixels)
            texts = [self.tag_text(indices) for indices in self.tags(features)]
            captions = self.captions(self.tag_states(features, texts))
        return [Described(text, caption) for text, caption in zip(texts, captions, strict=True)]

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 145, 1024)``: the mean of the picture's tokens, then each."""
        return swin.features(self.visual_encoder, pixels)

    def tag_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 3429)``: what the two layers of the tagger make of each tag's embedding."""
        x = self.text.label_embed.weight.expand(len(features), -1, -1)
        for layer in self.text.tag_encoder.encoder.layers[:TAGGER_LAYERS]:
            x = layer.look(x, layer.crossattention.keys_values(features, TAGGER_HEADS))
        logits: torch.Tensor = self.text.fc(x)
        return logits

    def tags(self, features: torch.Tensor, threshold: float = THRESHOLD) -> list[list[int]]:
        """Return the numbers of each picture's tags, ascending: probability above ``threshold`` in float32."""
        on = self.tag_logits(features).sigmoid() > threshold
        on[:, [index for index in SILENCED if index < on.shape[1]]] = False
        return [[index for index, is_on in enumerate(row) if is_on] for row in on.tolist()]

    def tag_text(self, indices: Sequence[int]) -> str:
        """Return the names of tags as the encoder reads them."""
        return " | ".join(self._tags[index] for index in indices)

    def tag_states(self, features: torch.Tensor, texts: Sequence[str]) -> torch.Tensor:
        """Return the ``(N, 40, width)`` states of lists of tags in the light of the pictures, padding included."""
        rows = [self._tag_ids(text) for text in texts]
        ids = torch.tensor([row + [wordpiece.PAD] * (TEXT_LENGTH - len(row)) for row in rows], device=features.device)
        return self.encode_tags(ids, torch.tensor([len(row) for row in rows], device=features.device), features)

    def encode_tags(self, ids: torch.Tensor, lengths: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return the states of ``(N, L)`` ids, the first ``lengths`` of which are seen."""
        heads = self.text.text_decoder.heads
        x = self.text.tag_encoder.embeddings(ids)
        padding = torch.arange(ids.shape[1], device=ids.device) >= lengths[:, None]
        # (N, 1, 1, L): broadcast over heads and queries
        mask = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, _HIDDEN)[:, None, None]
        for layer in self.text.tag_encoder.encoder.layers:
            context = layer.crossattention.keys_values(features, heads)
            x = layer(x, layer.attention.keys_values(x, heads), context, mask)
        return x

    def captions(self, states: torch.Tensor) -> list[str]:
        """Return the caption of each picture's tag states, without the prompt."""
        prompt = [BEGIN, *self._vocabulary.encode(PROMPT)]
        found = search(Captioning(self.text.text_decoder, states), prompt, wordpiece.END)
        return [self._vocabulary.decode(one.ids, skip=_SPECIALS)[len(PROMPT) :] for one in found]

    def _tag_ids(self, text: str) -> list[int]:
        # Room for the two signs.
        return [ENCODE, *self._vocabulary.encode(text)[: TEXT_LENGTH - 2], wordpiece.END]


_ENCODER, _DECODER = "tag_encoder.", "text_decoder.bert."
_WORDS, _POSITIONS = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
_LOOKS = "encoder.layer.0.crossattention.self.key.weight"
_FEEDS = "encoder.layer.0.intermediate.dense.weight"
_SHAPING = (
    f"{swin.PREFIX}patch_embed.proj.weight",
    f"{swin.PREFIX}layers.0.blocks.0.mlp.fc1.weight",
    *(f"{part}{name}" for part in (_ENCODER, _DECODER) for name in (_WORDS, _POSITIONS, _LOOKS, _FEEDS)),
    "label_embed.weight",
)
"""Tensors whose sizes are those of the network."""


class _TextParts(nn.Module):
    """Everything but the image encoder, named as in the file and sized by it."""

    def __init__(self, state: hf.State) -> None:
        super().__init__()
        size = {name: len(state[name]) for name in _SHAPING}
        width, image = state[_ENCODER + _WORDS].shape[1], state[_ENCODER + _LOOKS].shape[1]
        depths = [hf.depth(state, f"{part}encoder.layer.") for part in (_ENCODER, _DECODER)]
        self.tag_encoder = _TagEncoder(
            Embeddings(size[_ENCODER + _WORDS], size[_ENCODER + _POSITIONS], width),
            Stack(depths[0], width, image, size[_ENCODER + _FEEDS]),
        )
        self.text_decoder = CaptionDecoder(
            depths[1],
            size[_DECODER + _WORDS],
            size[_DECODER + _POSITIONS],
            width,
            size[_DECODER + _FEEDS],
            width // hf.HEAD_WIDTH,
        )
        self.label_embed = nn.Embedding(size["label_embed.weight"], width)
        self.fc = _GroupLinear(size["label_embed.weight"], width)


_USED = (swin.PREFIX, "tag_encoder.", "text_decoder.", "label_embed.", "fc.")


def _check(state: hf.State, needed: Iterable[str]) -> None:
    if missing := [key for key in needed if key not in state]:
        raise ValueError(f"{len(missing)} tensors are missing, such as {missing[0]}")


def read(path: Path, vocabulary: Path, tags: Path, device: torch.device | str) -> Tag2Text:
    """Return the network of its three files."""
    state = hf.read_state(path, "model", _USED)
    return hf.frozen(Tag2Text(state, read_names(tags), wordpiece.Vocabulary.read(vocabulary))).to(device)
