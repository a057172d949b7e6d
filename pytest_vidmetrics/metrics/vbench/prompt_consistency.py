"""What VBench overall consistency and temporal style share: the ViCLIP cosine of a clip and its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import clip_uint8, picked
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import CLIP_MERGES, VICLIP

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.clip.tokenizer import ClipTokenizer
    from pytest_vidmetrics.networks.clip.viclip import ViClipText, ViClipVideo


FRAMES = 8
TOKENS = 32


class PromptConsistency(VBenchMetric):
    """Cosine of ViCLIP's features of 8 middle frames and of the prompt, in [-1, 1]; about 0.2 to 0.3.

    A clip of fewer than 8 frames repeats its last one; a prompt of more than 30 tokens is cut.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "text_prompt")
    value_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    backbone: ClassVar[str | None] = "viclip"
    noise_floor: ClassVar[float] = 2e-3
    noise_source: ClassVar[str] = "recommended cross-machine tolerance: decoder, kernels"
    tf32_change: ClassVar[float | None] = 1.1e-5
    bf16_change: ClassVar[float | None] = 1.1e-5
    dependencies: ClassVar[tuple[str, ...]] = ("transformers",)

    _video: Network[ViClipVideo] = Network("viclip.video", ".clip.viclip:read_video", VICLIP, bf16=True)
    _text: Network[ViClipText] = Network("viclip.text", ".clip.viclip:read_text", VICLIP)
    _tokenizer: Network[ClipTokenizer] = Network("clip-merges.tokenizer", ".clip.towers:read_tokenizer", CLIP_MERGES)

    def __init__(self) -> None:
        self._phrases: dict[str, torch.Tensor] = {}

    def frames(self) -> FrameRequest:
        """Return the 8 middle frames."""
        return FrameRequest(FRAMES, "middle")

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip against its prompt."""
        from pytest_vidmetrics.networks import shared

        video, prompt = self.clip(sample), self.words(sample)
        # Without parameters: both dimensions on ViCLIP share the feature.
        key = (self.backbone, str(self.device), "middle-8", "video")
        feature = shared.once(key, lambda: self._encode(picked(video, FRAMES)))
        score = float((feature.double() * self._phrase(prompt).double()).sum())
        return MetricResult(self.name, score)

    def _encode(self, frames: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        return F.normalize(self._video(clip_uint8(frames)[None]), dim=-1)[0]

    def _phrase(self, prompt: str) -> torch.Tensor:
        import torch.nn.functional as F

        if prompt not in self._phrases:
            self._phrases[prompt] = F.normalize(self._text([self._tokenizer.row(prompt, TOKENS)]), dim=-1)[0]
        return self._phrases[prompt]
