"""BERT's layer with attention to something else, as Tag2Text stacks it. Modules are named as in its files.

A layer normalises after each of its three parts: attention to the text itself, attention to a context of any width,
feed-forward. There are no token types. transformers' own class has neither a context of another width nor layers
without attention to themselves, which the tagger consists of.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-12

KeysValues = tuple[torch.Tensor, torch.Tensor]
"""Both ``(N, heads, length, width of a head)``."""


class Embeddings(nn.Module):
    """Words plus positions, normalised."""

    def __init__(self, words: int, positions: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(words, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, ids: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Return ``(N, L, width)`` for ``(N, L)`` ids whose first one stands at position ``first``."""
        places = torch.arange(first, first + ids.shape[1], device=ids.device)
        return cast("torch.Tensor", self.LayerNorm(self.word_embeddings(ids) + self.position_embeddings(places)))


class _Projections(nn.Module):
    def __init__(self, width: int, source: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(source, width)
        self.value = nn.Linear(source, width)


class _Inner(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, inner)


class _Output(nn.Module):
    """A projection, added to what went in, normalised."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(source, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, found: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self.LayerNorm(self.dense(found) + x))


class Attention(nn.Module):
    """Attention of ``(N, L, width)`` to keys and values that :meth:`keys_values` made."""

    def __init__(self, width: int, source: int) -> None:
        super().__init__()
        self.self = _Projections(width, source)
        self.output = _Output(width, width)

    def keys_values(self, source: torch.Tensor, heads: int) -> KeysValues:
        """Return keys and values of ``(N, S, source width)``."""
        return _split(self.self.key(source), heads), _split(self.self.value(source), heads)

    def forward(self, x: torch.Tensor, known: KeysValues, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``(N, L, width)``; ``mask`` is added to the scores of ``(L, S)``, or boolean."""
        keys, values = known
        queries = _split(self.self.query(x), keys.shape[1])
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return cast("torch.Tensor", self.output(found.transpose(1, 2).flatten(2), x))


def _split(x: torch.Tensor, heads: int) -> torch.Tensor:
    # (N, heads, L, width of a head)
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """One layer of ``width`` over a context of width ``source``."""

    def __init__(self, width: int, source: int, inner: int) -> None:
        super().__init__()
        self.attention = Attention(width, width)
        self.crossattention = Attention(width, source)
        self.intermediate = _Inner(width, inner)
        self.output = _Output(inner, width)

    def forward(
        self, x: torch.Tensor, own: KeysValues, context: KeysValues, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return ``(N, L, width)``; ``own`` are the keys and values of the text, ``mask`` says which are seen."""
        return self.look(self.attention(x, own, mask), context)

    def look(self, x: torch.Tensor, context: KeysValues) -> torch.Tensor:
        """Attend to the context and feed forward: the layer without attention to itself."""
        x = self.crossattention(x, context)
        return cast("torch.Tensor", self.output(F.gelu(self.intermediate.dense(x)), x))


class Stack(nn.Module):
    """``depth`` layers."""

    def __init__(self, depth: int, width: int, source: int, inner: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(width, source, inner) for _ in range(depth))

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return cast("list[Layer]", list(self.layer))
