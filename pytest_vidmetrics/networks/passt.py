"""PaSST-S (arXiv 2110.05069): AudioSet logits and embeddings, on the layers of the package ``hear21passt``.

Only its network module is imported: its front end needs torchaudio, its loader prints, draws from the global random
generator and fetches without checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.passt_mel import SAMPLE_RATE, passt_mel

DIMENSION = 768
CLASSES = 527
_PATCH, _STRIDE = 16, 10
_FRAMES = 998
MIN_SAMPLES = 4801
"""Fewest samples at 32 kHz that fill one patch."""
MAX_SAMPLES = 321600
"""Most samples at 32 kHz for which the network has time positions: 10.05 s."""


class TooShortError(IncompatibleSampleError):
    """The sound fills no patch of the network."""


@dataclass(frozen=True)
class Audio:
    """``logits`` is ``(527,)`` and ``embedding`` ``(768,)``, both float32."""

    logits: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]


class Passt:
    """The network on one device; ``state`` is a published state dict, with bare keys."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        self._device = device
        self._net = _build(state).to(device)

    def __call__(self, samples: npt.NDArray[np.float32]) -> Audio:
        """Return logits and embedding of ``(N,)`` samples at 32 kHz; the mean of the two tokens is the embedding.

        Raises :class:`TooShortError` for less than 0.15 s, :class:`IncompatibleSampleError` for more than 10.05 s.
        """
        count = len(samples)
        if not MIN_SAMPLES <= count <= MAX_SAMPLES:
            raise (TooShortError if count < MIN_SAMPLES else IncompatibleSampleError)(
                f"the audio lasts {count / SAMPLE_RATE:.3f} s: PaSST reads {MIN_SAMPLES / SAMPLE_RATE:.2f} s "
                f"to {MAX_SAMPLES / SAMPLE_RATE:.2f} s at once"
            )
        with torch.inference_mode():
            # (1, 1, bands, frames)
            mel = torch.from_numpy(passt_mel(samples))[None, None].to(self._device)
            logits, embedding = self._forward(mel)
        return Audio(logits[0].cpu().numpy(), embedding[0].cpu().numpy())

    def _forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        net = self._net
        patches = _project(mel, net.patch_embed.proj)
        # (B, 768, f, t): the time positions are cut to the sound, those of frequency broadcast
        placed = patches + net.time_new_pos_embed[..., : patches.shape[-1]] + net.freq_new_pos_embed
        special = torch.cat([net.cls_token, net.dist_token], dim=1) + net.new_pos_embed
        # Two tokens in front: of the class, and of the distillation.
        tokens = torch.cat([special.expand(len(mel), -1, -1), placed.flatten(2).transpose(1, 2)], dim=1)
        embedding = net.norm(net.blocks(tokens))[:, :2].mean(dim=1)
        return net.head(embedding), embedding


def _project(mel: torch.Tensor, conv: torch.nn.Conv2d) -> torch.Tensor:
    """Return the convolution's ``(B, 768, f, t)`` output as a matrix product: GPUs round convolutions to TF32."""
    columns = F.unfold(mel, _PATCH, stride=_STRIDE)
    height, width = ((side - _PATCH) // _STRIDE + 1 for side in mel.shape[-2:])
    weight, bias = conv.weight.flatten(1), conv.bias
    out = F.linear(columns.transpose(1, 2), weight, bias).transpose(1, 2)
    return out.reshape(len(mel), -1, height, width)


class _ScheduleOnCpu(TorchFunctionMode):
    """Keeps the drop-path schedule readable while the layers are built without memory; of one thread only."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        options = dict(kwargs or {})
        if func is torch.linspace:
            options["device"] = "cpu"
        return func(*args, **options)


def _build(state: hf.State) -> Any:
    """Return the evaluation-mode module with exactly the tensors of ``state``, as deep as they are.

    Built on the meta device, so that no random number is drawn. Raises ``ValueError`` for another layout.
    """
    layers = _layers()
    depth = hf.depth(state, "blocks.")
    with torch.device("meta"), _ScheduleOnCpu():
        net = layers.PaSST(
            img_size=(128, _FRAMES),
            patch_size=_PATCH,
            stride=_STRIDE,
            in_chans=1,
            num_classes=CLASSES,
            embed_dim=DIMENSION,
            depth=depth,
            num_heads=DIMENSION // hf.HEAD_WIDTH,
            distilled=True,
        )
    return hf.assign(net, state)


def _layers() -> Any:
    try:
        from hear21passt.models import passt
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # timm, which it imports, fails in any of these ways next to a torchvision of another build.
        raise UnavailableError(
            f"hear21passt cannot be imported ({type(error).__name__}: {error}): pip install 'pytest-vidmetrics[audio]'"
        ) from error
    return passt


def read(path: Path, device: torch.device | str) -> Passt:
    """Return the network of a file of weights."""
    return Passt(hf.read_state(path), device)
