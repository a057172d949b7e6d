"""VBench appearance style: how well CLIP ViT-B/32 finds that the frames show a style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import FrameWeightedMetric
from pytest_vidmetrics.metrics.vbench.frames import clip_pillow, encode, frame_bytes
from pytest_vidmetrics.metrics.vbench.totals import Compat
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import CLIP_B32, CLIP_MERGES

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.clip.tokenizer import ClipTokenizer
    from pytest_vidmetrics.networks.clip.towers import ClipImage, ClipText


CONTEXT = 77
_INSIDE = 5 << 20
"""Bytes that one frame takes inside the network."""


@register("vbench.appearance_style")
class AppearanceStyle(FrameWeightedMetric):
    """Mean over all frames of the cosine of the frame and the style phrase, in [-1, 1]; about 0.2 to 0.3.

    The phrase is ``auxiliary_info["appearance_style"]`` (such as "Van Gogh style"), not the prompt; a sample
    without one is skipped. Frames are resized with Pillow's antialiased bicubic. Upstream runs CLIP in float16 on
    CUDA; here it is float32 everywhere. Upstream's corpus score is the mean over all frames with one process; with
    several it is, by mistake, the mean of each clip's last frame, which no ``compat`` follows. Arguments: see
    :class:`FrameWeightedMetric`. Source: Vchitect/VBench ``appearance_style.py``, arXiv 2311.17982.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "auxiliary_info")
    value_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    backbone: ClassVar[str | None] = "clip-vit-base-patch32"
    noise_floor: ClassVar[float] = 2e-3
    noise_source: ClassVar[str] = "recommended cross-machine tolerance: decoder, float16 against float32, kernels"
    dependencies: ClassVar[tuple[str, ...]] = ("transformers",)

    _image: Network[ClipImage] = Network("clip-vit-base-patch32.image", ".clip.towers:read_image", CLIP_B32, bf16=True)
    _text: Network[ClipText] = Network("clip-vit-base-patch32.text", ".clip.towers:read_text", CLIP_B32)
    _tokenizer: Network[ClipTokenizer] = Network("clip-merges.tokenizer", ".clip.towers:read_tokenizer", CLIP_MERGES)

    def __init__(self, compat: Compat = "upstream", chunk_size: int | None = None) -> None:
        super().__init__(compat, chunk_size)
        self._styles: dict[str, torch.Tensor] = {}

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip against its style."""
        import torch.nn.functional as F

        style = style_of(sample["auxiliary_info"])
        if style is None:
            return self._skip(sample, "auxiliary_info has no style phrase under 'appearance_style'")
        video = self.clip(sample)
        size = self.chunk(len(video), frame_bytes(video, _INSIDE), on_processor=32)
        images = F.normalize(encode(video, clip_pillow, self._image, size), dim=-1)
        scores = (images.double() @ self._style(style).double()).tolist()
        return MetricResult(self.name, sum(scores) / len(scores), {"style": style, "frame_results": scores})

    def _style(self, style: str) -> torch.Tensor:
        import torch.nn.functional as F

        if style not in self._styles:
            try:
                row = self._tokenizer.row(style, CONTEXT, truncate=False)
            except ValueError as error:
                raise IncompatibleSampleError(f"{self.name}: {error}; give a shorter style phrase") from error
            self._styles[style] = F.normalize(self._text([row]), dim=-1)[0]
        return self._styles[style]


def style_of(auxiliary: Any) -> str | None:
    """Return the style phrase of VBench's auxiliary information, nested once or twice, or ``None``."""
    for _ in range(2):
        if isinstance(auxiliary, Mapping):
            auxiliary = auxiliary.get("appearance_style")
    return auxiliary.strip() or None if isinstance(auxiliary, str) else None
