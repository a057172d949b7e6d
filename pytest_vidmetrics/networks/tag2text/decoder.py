"""The caption decoder: causal BERT that looks at the 40 states of the tags, with keys and values kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks.tag2text.beams import BEAMS
from pytest_vidmetrics.networks.tag2text.bert import EPSILON, Embeddings, KeysValues, Stack


class _Bert(nn.Module):
    def __init__(self, depth: int, words: int, positions: int, width: int, inner: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(words, positions, width)
        self.encoder = Stack(depth, width, width, inner)


class _Transform(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=EPSILON)


class _Predictions(nn.Module):
    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.transform = _Transform(width)
        self.bias = nn.Parameter(torch.zeros(words))


class _Head(nn.Module):
    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.predictions = _Predictions(words, width)


class CaptionDecoder(nn.Module):
    """Token ids and tag states to logits. The output matrix is that of the word embeddings."""

    def __init__(self, depth: int, words: int, positions: int, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.bert = _Bert(depth, words, positions, width, inner)
        self.cls = _Head(words, width)

    def forward(self, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Return ``(N, L, words)`` logits of ``(N, L)`` ids for ``(N, S, width)`` states, all of which are visible."""
        hidden, _ = self.read(ids, self.contexts(states))
        return self.logits(hidden)

    def contexts(self, states: torch.Tensor) -> list[KeysValues]:
        """Return each layer's keys and values of the states."""
        return [layer.crossattention.keys_values(states, self.heads) for layer in self.bert.encoder.layers]

    def read(self, ids: torch.Tensor, contexts: Sequence[KeysValues]) -> tuple[torch.Tensor, list[KeysValues]]:
        """Return the ``(N, L, width)`` states of a text from its start on, and each layer's keys and values of it."""
        x = self.bert.embeddings(ids)
        # A word sees those before it, and itself.
        seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()
        kept = []
        for layer, context in zip(self.bert.encoder.layers, contexts, strict=True):
            own = layer.attention.keys_values(x, self.heads)
            kept.append(own)
            x = layer(x, own, context, seen)
        return x, kept

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return ``(..., words)`` for ``(..., width)``."""
        head = self.cls.predictions
        x = head.transform.LayerNorm(F.gelu(head.transform.dense(hidden)))
        return F.linear(x, self.bert.embeddings.word_embeddings.weight, head.bias)


class Captioning:
    """Captions of several frames while they are written: a :class:`~.beams.NextToken` of ``(N, S, D)`` tag states."""

    def __init__(self, decoder: CaptionDecoder, states: torch.Tensor) -> None:
        self._decoder, self._device, self._count = decoder, states.device, len(states)
        self._contexts = decoder.contexts(states)
        self._own: list[KeysValues] = []
        self._length = 0

    def start(self, prompt: Sequence[int]) -> torch.Tensor:
        """Return the logits behind the prompt, one row per frame."""
        ids = torch.tensor([list(prompt)] * self._count, device=self._device)
        hidden, self._own = self._decoder.read(ids, self._contexts)
        self._length = len(prompt)
        return self._decoder.logits(hidden[:, -1])

    def step(self, items: Sequence[int], parents: Sequence[int], tokens: Sequence[int]) -> torch.Tensor:
        """Return the logits behind one more token, :data:`~.beams.BEAMS` rows per frame that goes on."""
        if len(items) < len(self._contexts[0][0]):
            # The contexts of frames whose captions are done are dropped.
            self._contexts = [_rows(pair, self._index(items)) for pair in self._contexts]
        chosen = self._index(parents)
        x = self._decoder.bert.embeddings(self._index(tokens)[:, None], self._length)
        kept = []
        for layer, context, before in zip(self._decoder.bert.encoder.layers, self._contexts, self._own, strict=True):
            # (rows, heads, 1, width of a head): the new word alone
            new = layer.attention.keys_values(x, self._decoder.heads)
            own = tuple(torch.cat([old, add], 2) for old, add in zip(_rows(before, chosen), new, strict=True))
            kept.append((own[0], own[1]))
            x = layer.attention(x, kept[-1])
            # The beams of a frame look at the same states: they are queries of one row, so that no key is repeated.
            x = layer.look(x.view(len(items), BEAMS, -1), context).view(len(tokens), 1, -1)
        self._own = kept
        self._length += 1
        return self._decoder.logits(x[:, 0])

    def _index(self, values: Sequence[int]) -> torch.Tensor:
        return torch.tensor(list(values), device=self._device)  # (rows, heads, length, width of a head)


def _rows(pair: KeysValues, index: torch.Tensor) -> KeysValues:
    keys, values = pair
    return keys.index_select(0, index), values.index_select(0, index)
