"""Synchformer (arXiv 2401.16423): by how much sound and picture of a clip are apart. Written from its description."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.synchformer.audio import AudioTower
from pytest_vidmetrics.networks.synchformer.layers import HIDDEN, WIDTH, attend
from pytest_vidmetrics.networks.synchformer.video import VideoTower

SEGMENTS = 14
"""How many segments of each stream are compared: the table of positions is for this many and no others."""
CLASSES = 21
"""Offsets from -2 s to 2 s in steps of 0.2 s."""
_HEADS = 8
_TOKENS = SEGMENTS * (8 + 6) + 2


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.key, self.query, self.value, self.proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(attend(self.query(x), self.key(x), self.value(x), _HEADS))


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = _Attention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class _Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.empty(1, _TOKENS, WIDTH))


class _Comparison(nn.Module):
    """The transformer that reads both streams; ``depth`` is 3 in the published network."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.OFF_tok = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.MOD_tok = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.pos_emb_cfg = _Positions()
        self.vis_in_lnorm, self.aud_in_lnorm, self.ln_f = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.blocks = nn.Sequential(*(_Block() for _ in range(depth)))
        self.off_head = nn.Linear(WIDTH, CLASSES)

    def forward(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        off, between = (token.expand(len(video), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        # (B, 1 + 112 + 1 + 84, 768)
        x = torch.cat([off, self.vis_in_lnorm(video), between, self.aud_in_lnorm(audio)], dim=1)
        x = self.blocks(x + self.pos_emb_cfg.pos_emb)
        return self.off_head(self.ln_f(x[:, 0]))


class Synchformer(nn.Module):
    """The network with exactly the tensors of ``state``, a published state dict, as deep as they are.

    Raises ``ValueError`` or ``RuntimeError`` for the tensors of another network.
    """

    def __init__(self, state: hf.State) -> None:
        super().__init__()
        with torch.device("meta"):
            self.vfeat_extractor = VideoTower(hf.depth(state, "vfeat_extractor.blocks."))
            self.afeat_extractor = AudioTower(hf.depth(state, "afeat_extractor.ast.encoder.layer."))
            self.vproj, self.aproj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.transformer = _Comparison(hf.depth(state, "transformer.blocks."))
        hf.assign(self, state)

    def video(self, frames: torch.Tensor) -> torch.Tensor:
        """Return ``(S, 8, 768)`` for ``(S, 16, 3, 224, 224)`` float32 frames in [-1, 1], a row per segment."""
        with torch.inference_mode():
            return self.vfeat_extractor(frames)

    def audio(self, mel: torch.Tensor) -> torch.Tensor:
        """Return ``(S, 6, 768)`` for ``(S, 128, 66)`` float32 log-mel segments, a row per segment."""
        with torch.inference_mode():
            return self.afeat_extractor(mel)

    def compare(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        """Return the ``(B, 21)`` logits of the offsets for ``(B, 14, 8, 768)`` and ``(B, 14, 6, 768)`` features.

        Raises ``ValueError`` for another number of segments.
        """
        if not video.shape[1] == audio.shape[1] == SEGMENTS:
            raise ValueError(f"{SEGMENTS} segments are compared, not {video.shape[1]} and {audio.shape[1]}")
        with torch.inference_mode():
            return self.transformer(
                # (B, 14 * 8, 768)
                F.linear(video.flatten(1, 2), self.vproj.weight, self.vproj.bias),
                # (B, 14 * 6, 768)
                F.linear(audio.flatten(1, 2), self.aproj.weight, self.aproj.bias),
            )


def read(path: Path, device: torch.device | str) -> Synchformer:
    """Return the network of a file of weights."""
    network: Synchformer = Synchformer(hf.read_state(path)).to(device)
    return network
