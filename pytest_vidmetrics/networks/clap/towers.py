"""CLAP audio and text towers (Wu et al., arXiv 2211.06687) on the network of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.clap.laion import as_transformers, is_laion

_AUDIO, _TEXT = ("audio_model.", "audio_projection."), ("text_model.", "text_projection.")


class ClapAudio:
    """The audio tower (HTSAT) with its projection.

    ``state`` is a published state dict, in the layout of transformers or of laion_clap; sizes, depths and whether
    it fuses long audio are read off its tensors. Raises ``ValueError`` when tensors are missing.
    """

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from transformers import ClapAudioConfig, ClapAudioModelWithProjection

        part = hf.pick(state, _AUDIO)
        encoder = "audio_model.audio_encoder."
        depths, heads = _stages(part, f"{encoder}layers.")
        width, hidden = part["audio_projection.linear1.weight"].shape
        self.fused = any(".fusion_model." in key for key in part)
        config = ClapAudioConfig(
            depths=depths,
            num_attention_heads=heads,
            patch_embeds_hidden_size=len(part[f"{encoder}patch_embed.proj.weight"]),
            hidden_size=hidden,
            projection_dim=width,
            enable_fusion=self.fused,
        )
        self._model = hf.pretrained(ClapAudioModelWithProjection, config, {**part, **_tables(part)}).to(device)
        self._device = torch.device(device)

    def __call__(self, features: npt.NDArray[np.float32], *, longer: bool = True) -> torch.Tensor:
        """Return the ``(D,)`` float32 embedding of length 1 of one clip's ``(4 or 1, 1001, 64)`` decibels.

        ``longer`` lets a fusing network look at the three chunks beside the whole; the reference always does so
        for a single clip, however short.
        """
        # (1, chunks, frames, bands)
        batch = torch.from_numpy(features)[None].to(self._device)
        flag = torch.tensor([[longer]], device=self._device) if self.fused else None
        with torch.inference_mode():
            found = self._model(input_features=batch, is_longer=flag).audio_embeds
        return torch.nn.functional.normalize(found.float(), dim=-1)[0]


class ClapText:
    """The text tower (RoBERTa) with its projection. ``epsilon`` is that of its layer norms, which no tensor tells."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu", epsilon: float = 1e-12) -> None:
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        part = hf.pick(state, _TEXT)
        words = part["text_model.embeddings.word_embeddings.weight"]
        config = ClapTextConfig(
            vocab_size=len(words),
            hidden_size=words.shape[1],
            num_hidden_layers=hf.depth(part, "text_model.encoder.layer."),
            num_attention_heads=words.shape[1] // hf.HEAD_WIDTH,
            intermediate_size=len(part["text_model.encoder.layer.0.intermediate.dense.weight"]),
            max_position_embeddings=len(part["text_model.embeddings.position_embeddings.weight"]),
            projection_dim=len(part["text_projection.linear1.weight"]),
            layer_norm_eps=epsilon,
        )
        self._model = hf.pretrained(ClapTextModelWithProjection, config, {**part, **_tables(part)}).to(device)
        self._device = torch.device(device)

    def __call__(self, tokens: Sequence[int]) -> torch.Tensor:
        """Return the ``(D,)`` float32 embedding of length 1 of one text's token ids, markers included."""
        ids = torch.tensor([list(tokens)], dtype=torch.long, device=self._device)
        with torch.inference_mode():
            found = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).text_embeds
        return torch.nn.functional.normalize(found.float(), dim=-1)[0]


class ClapTokenizer:
    """Text to token ids by a published ``tokenizer.json``, cut to at most ``max_tokens`` with both markers."""

    def __init__(self, path: str, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(path)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = max_tokens

    def __call__(self, text: str) -> tuple[list[int], int]:
        """Return the ids, and how many tokens of the text were left out."""
        ids = list(self._tokenizer.encode(text).ids)
        dropped = max(0, len(ids) - self.max_tokens)
        # The end marker stays, the text is cut before it.
        return ([*ids[: self.max_tokens - 1], ids[-1]] if dropped else ids), dropped


def read(path: Path, device: torch.device | str) -> tuple[ClapAudio, ClapText]:
    """Return the towers of a file of weights, in either layout; an optimiser beside the weights is not read."""
    state = hf.read_state(path, "state_dict")
    laion = is_laion(state)
    if laion:
        state = as_transformers(state)
    # RoBERTa's own value in laion_clap; the conversion published for transformers states another.
    return ClapAudio(state, device), ClapText(state, device, epsilon=1e-5 if laion else 1e-12)


def read_tokenizer(path: Path, device: torch.device | str, max_tokens: int) -> ClapTokenizer:
    """Return the tokeniser, which both networks use."""
    del device
    return ClapTokenizer(str(path), max_tokens)


def _stages(state: hf.State, prefix: str) -> tuple[list[int], list[int]]:
    """Return blocks and heads of every stage."""
    stages = range(hf.depth(state, prefix))
    depths = [hf.depth(state, f"{prefix}{stage}.blocks.") for stage in stages]
    table = "blocks.0.attention.self.relative_position_bias_table"
    # The number of heads is a side of the table of relative positions.
    return depths, [state[f"{prefix}{stage}.{table}"].shape[1] for stage in stages]


def _tables(state: hf.State) -> dict[str, torch.Tensor]:
    """Return the integer tensors that the classes of transformers want beside the weights: they follow from shapes."""
    found: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        stem = key.rsplit(".", 1)[0]
        if key.endswith(".running_mean"):
            found[f"{stem}.num_batches_tracked"] = torch.tensor(0)
        elif key.endswith(".relative_position_bias_table"):
            # A window of w has (2 w - 1)^2 offsets.
            found[f"{stem}.relative_position_index"] = _relative_positions((round(len(value) ** 0.5) + 1) // 2)
        elif key.endswith(".position_embeddings.weight"):
            where = stem.rsplit(".", 1)[0]
            # The class lists constants of its embeddings among its tensors.
            found[f"{where}.position_ids"] = torch.arange(len(value))[None]
            found[f"{where}.token_type_ids"] = torch.zeros((1, len(value)), dtype=torch.long)
    return found


def _relative_positions(window: int) -> torch.Tensor:
    """Return, for each two places of a ``window x window`` square, the row of the bias table of their offset."""
    rows, columns = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
    # Offsets from -(w - 1) to w - 1, shifted to start at 0.
    down = rows[:, None] - rows[None, :] + window - 1
    across = columns[:, None] - columns[None, :] + window - 1
    return down * (2 * window - 1) + across
