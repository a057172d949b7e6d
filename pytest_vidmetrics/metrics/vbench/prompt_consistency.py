"""What VBench overall consistency and temporal style share: the ViCLIP cosine of a clip and its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import clip_uint8, middle_indices

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
    dependencies: ClassVar[tuple[str, ...]] = ("transformers",)

    def __init__(self) -> None:
        self._video: ViClipVideo | None = None
        self._text: ViClipText | None = None
        self._tokenizer: ClipTokenizer | None = None
        self._phrases: dict[str, torch.Tensor] = {}

    def frames(self) -> FrameRequest:
        """Return the 8 middle frames."""
        return FrameRequest(FRAMES, "middle")

    def weights_files(self) -> tuple[Weights, ...]:
        """Return ViCLIP and the merges of its tokeniser, which are CLIP's."""
        from pytest_vidmetrics.networks.clip.towers import CLIP_MERGES
        from pytest_vidmetrics.networks.clip.viclip import VICLIP

        return VICLIP, CLIP_MERGES

    def setup(self) -> None:
        """Load both towers and the tokeniser."""
        if self._video is not None:
            return
        from pytest_vidmetrics.networks.clip import towers as clip
        from pytest_vidmetrics.networks.clip import viclip

        self._tokenizer = clip.load_tokenizer(clip.CLIP_MERGES, self.name)
        self._text = viclip.load_text(viclip.VICLIP, self.device, self.name)
        self._video = viclip.load_video(viclip.VICLIP, self.device, self.name)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip against its prompt."""
        from pytest_vidmetrics.networks import shared

        video, prompt = self.clip(sample), self.words(sample)
        self.setup()
        picked = middle_indices(len(video), FRAMES)
        key = (self.backbone, str(self.device), "middle-8", "video")
        feature = shared.once(key, lambda: self._encode(video[picked]))
        score = float((feature.double() * self._phrase(prompt).double()).sum())
        return MetricResult(self.name, score)

    def _encode(self, frames: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        assert self._video is not None
        return F.normalize(self._video(clip_uint8(frames)[None]), dim=-1)[0]

    def _phrase(self, prompt: str) -> torch.Tensor:
        import torch.nn.functional as F

        assert self._text is not None
        assert self._tokenizer is not None
        if prompt not in self._phrases:
            self._phrases[prompt] = F.normalize(self._text([self._tokenizer.row(prompt, TOKENS)]), dim=-1)[0]
        return self._phrases[prompt]
