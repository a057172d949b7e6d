"""What the four VBench dimensions share that ask GRiT what the frames show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import middle_indices
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import GRIT_B
from pytest_vidmetrics.networks.wordpiece import BERT_VOCABULARY

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.grit.clip import Resize
    from pytest_vidmetrics.networks.grit.network import FrameObjects, Grit

FRAMES = 16
LARGEST_SIDE, RESIZED_SIDE = 768, 720.0


class ObjectMetric(VBenchMetric):
    """A dimension that looks at the objects in 16 middle frames; a shorter clip repeats its last frame.

    Frames go in at their own size, unless the shorter side is above 768 pixels: see :func:`resized`. What a frame
    shows is computed once for all dimensions, and kept in the store by its pixels and the weights.
    ``chunk_size`` frames are held as floating point and go through the network at a time; it does not change what is
    seen but by rounding.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "auxiliary_info")
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    backbone: ClassVar[str | None] = "grit-b"
    noise_source: ClassVar[str] = (
        "what a frame shows is decided: TF32 and chunk sizes changed none of the texts of 196 boxes; one that flips "
        "moves a clip by 1/16"
    )
    tf32_change: ClassVar[float | None] = 0.0
    dependencies: ClassVar[tuple[str, ...]] = ("transformers",)

    _network: Network[Grit] = Network("grit-b", ".grit.network:read", GRIT_B, BERT_VOCABULARY)

    chunk_size: int

    def __init__(self, chunk_size: int = FRAMES) -> None:
        if chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
        self.chunk_size = chunk_size

    def frames(self) -> FrameRequest:
        """Return the 16 middle frames."""
        return FrameRequest(FRAMES, "middle")

    def objects(self, sample: Mapping[str, Any]) -> list[FrameObjects]:
        """Return what each of the 16 frames of ``sample["video"]`` shows."""
        from pytest_vidmetrics.networks.grit.clip import clip_objects

        video = self.clip(sample)
        picked = middle_indices(len(video), FRAMES)
        # A frame that is repeated is looked at once.
        used = sorted(set(picked))
        resize, resized_by = self.resizing(video)
        seen = clip_objects(video, used, resize, resized_by, lambda: self._network, self.chunk_size)
        return [seen[used.index(index)] for index in picked]

    def resizing(self, video: torch.Tensor) -> tuple[Resize, str]:
        """Return how frames of this size are brought to that which the network sees, and its name."""
        size = resized(video.shape[-2], video.shape[-1])
        if size is None:
            return (lambda frames: frames), ""
        return (lambda frames: _antialiased(frames, size)), "antialias"

    def auxiliary(self, sample: Mapping[str, Any], key: str) -> Any:
        """Return ``auxiliary_info[key]``, also where it is nested under the dimension, or ``None``."""
        found = sample["auxiliary_info"]
        if not isinstance(found, Mapping):
            raise IncompatibleSampleError(f"{self.name} needs auxiliary_info to be a table, got {_kind(found)}")
        nested = found.get(self.name.removeprefix("vbench."))
        return nested[key] if isinstance(nested, Mapping) and key in nested else found.get(key)

    def text(self, sample: Mapping[str, Any], key: str) -> str | None:
        """Return the text ``auxiliary_info[key]``, or ``None`` where there is none.

        Raises ``IncompatibleSampleError`` for a value of another type.
        """
        value = self.auxiliary(sample, key)
        return None if value is None else self.as_text(value, f"auxiliary_info.{key}")

    def as_text(self, value: Any, where: str) -> str:
        """Return ``value``. Raises ``IncompatibleSampleError`` unless it is a text."""
        if not isinstance(value, str):
            raise IncompatibleSampleError(f"{self.name} needs {where} to be a text, got {_kind(value)}")
        return value


def _kind(value: Any) -> str:
    return f"{value!r:.60} ({type(value).__name__})"


def resized(height: int, width: int) -> tuple[int, int] | None:
    """Return the size that a frame is brought to, or ``None`` for one that is left as it is.

    The shorter side becomes 720, or 719 where floating point says so: upstream scales by ``720 / side`` and cuts.
    """
    shorter = min(height, width)
    if shorter <= LARGEST_SIDE:
        return None
    scale = RESIZED_SIDE / shorter
    return int(scale * height), int(scale * width)


def _antialiased(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return float frames, bilinear with antialias on floats, not rounded: torchvision's default since 0.17."""
    import torch.nn.functional as F

    return F.interpolate(frames.float(), size=size, mode="bilinear", align_corners=False, antialias=True)
