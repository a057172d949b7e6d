"""The words of GRiT: six BERT layers over the features of a box and the text so far."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks.grit.backbone import CHANNELS
from pytest_vidmetrics.networks.grit.search import LENGTH, Texts, search
from pytest_vidmetrics.networks.wordpiece import END, SIZE

WIDTH, HEADS, POSITIONS = 768, 12, 1024
SIDE = 14
"""A box is seen as 14 x 14 tokens."""
LABEL, CAPTION = 101, 104
"""The begin tokens of the two tasks, ObjectDet and DenseCap."""

KeyValue = tuple[torch.Tensor, torch.Tensor]
"""``(k, heads, n, d)`` keys and values."""


class TextDecoder(nn.Module):
    """The decoder with ``layers`` layers. Modules are named as in the published file.

    The tokens of a box see each other only, so their keys and values serve every text about it, whatever its task:
    :meth:`look` computes them once, :meth:`write` adds one word at a time.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.object_feature_projection = nn.Sequential(nn.Linear(CHANNELS, WIDTH), nn.LayerNorm(WIDTH))
        self.embedding = _Embedding()
        self.transformer = nn.ModuleDict({"encoder": _Encoder(layers)})
        self.output = nn.Linear(WIDTH, SIZE)

    @property
    def layers(self) -> nn.ModuleList:
        """The layers, first to last."""
        found: nn.ModuleList = self.transformer["encoder"].layer
        return found

    def look(self, features: torch.Tensor) -> Memory:
        """Return what a text about each box can see of ``(k, 196, 256)`` features."""
        x = self.object_feature_projection(features)  # (k, 196, 768)
        memory = Memory(len(self.layers), x)
        for index, layer in enumerate(self.layers):
            seen = memory.put(index, layer.key_value(x), 0)
            if index < len(self.layers) - 1:  # nothing looks at the last layer's own output
                x = layer(x, *seen)
        return memory

    def write(self, memory: Memory, begin: int, beams: int = 1) -> Texts:
        """Return the text of each box for the task of a begin token."""
        rows, device = memory.boxes, self.output.weight.device

        def step(words: torch.Tensor, position: int) -> torch.Tensor:
            return self.next_word(memory, words, position)

        return search(step, rows, begin, END, device, beams)

    def next_word(self, memory: Memory, words: torch.Tensor, position: int) -> torch.Tensor:
        """Return ``(k, 30522)`` logits of the word after the ``(k,)`` words at a position, counted from 0."""
        x = self.embedding(words, position)[:, None]
        for index, layer in enumerate(self.layers):
            x = layer(x, *memory.put(index, layer.key_value(x), memory.visual + position))
        return self.output(x[:, 0])


class Memory:
    """Keys and values of the tokens of ``k`` boxes and of the text so far, for every layer."""

    def __init__(self, layers: int, tokens: torch.Tensor) -> None:
        self.boxes, self.visual, width = tokens.shape
        # Room for the longest text, allocated once.
        shape = (layers, 2, self.boxes, HEADS, self.visual + LENGTH, width // HEADS)
        self._held = tokens.new_empty(shape)

    def put(self, layer: int, new: KeyValue, at: int) -> KeyValue:
        """Keep keys and values from place ``at`` on, and return all up to them."""
        key, value = new
        end = at + key.shape[2]
        keys, values = self._held[layer]
        # The words of a text write over those of the one before; what boxes hold stays.
        keys[:, :, at:end], values[:, :, at:end] = key, value
        return keys[:, :, :end], values[:, :, :end]


class _Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(SIZE, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.layer_norm = nn.LayerNorm(WIDTH, eps=1e-8)

    def forward(self, words: torch.Tensor, position: int) -> torch.Tensor:
        return self.layer_norm(self.words(words) + self.positions.weight[position])


class _Encoder(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer() for _ in range(layers))


class _Layer(nn.Module):
    """A layer of BERT, norms after the sums."""

    def __init__(self) -> None:
        super().__init__()
        part = {name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(part), "output": _sum(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, 4 * WIDTH)})
        self.output = _sum(4 * WIDTH)

    def key_value(self, x: torch.Tensor) -> KeyValue:
        """Return the keys and values of ``(k, n, D)`` tokens."""
        own = self.attention["self"]
        return _heads(own["key"](x)), _heads(own["value"](x))

    def forward(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the ``(k, n, D)`` outputs of tokens that see all of ``keys``."""
        query = _heads(self.attention["self"]["query"](x))
        seen = F.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2)
        joined = self.attention["output"]
        x = joined["LayerNorm"](joined["dense"](seen) + x)
        wide = F.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](self.output["dense"](wide) + x)


def _sum(width: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(width, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, eps=1e-12)})


def _heads(x: torch.Tensor) -> torch.Tensor:
    # (k, heads, n, d)
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
