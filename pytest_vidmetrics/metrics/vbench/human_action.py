"""VBench human action: whether UMT sees the action that the prompt asks for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.errors import closest
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.metrics.vbench.frames import (
    centre_crop,
    normalise,
    picked,
    shorter_side,
)
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import UMT_L16_K400
from pytest_vidmetrics.networks.training_colours import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.umt import Umt


TOP = 5
THRESHOLD = 0.85
FRAMES = 16
RESIZED = 256


@register("vbench.human_action")
class HumanAction(VBenchMetric):
    """1 when one of the five likeliest Kinetics-400 actions is the prompt's and has probability 0.85 or more.

    The action is what follows the last "person is " of the prompt, or the whole prompt; upstream takes it from
    the file name. A prompt whose action is not one of the 400 labels could never be met and is skipped, with the
    reason (upstream scores it 0; no prompt of its suite is concerned). Probabilities are sigmoids rounded to 4
    decimals, as upstream does. Source: Vchitect/VBench ``human_action.py``, arXiv 2311.17982.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "text_prompt")
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    binary: ClassVar[bool] = True
    backbone: ClassVar[str | None] = "umt-l16-k400"
    noise_source: ClassVar[str] = "one clip is 0 or 1; only a probability within rounding of 0.85 could flip"

    _network: Network[Umt] = Network("umt-l16-k400", ".umt:read", UMT_L16_K400, bf16=True)

    def frames(self) -> FrameRequest:
        """Return the 16 middle frames."""
        return FrameRequest(FRAMES, "middle")

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip; ``details["kept"]`` holds the labels that passed."""
        video = self.clip(sample)
        action = action_of(self.words(sample))
        if action not in known_actions():
            hint = closest(action, known_actions())
            return self._skip(sample, f"{action!r} in the prompt is not a Kinetics-400 action{hint}")
        logits = self._network(prepare(picked(video, FRAMES))[None])[0]
        kept = likely_actions(logits)
        found = any(label.lower() == action for label, _ in kept)
        details = {"action": action, "kept": [[label, probability] for label, probability in kept]}
        return MetricResult(self.name, float(found), details)


@functools.cache
def labels() -> tuple[str, ...]:
    """Return the 400 labels in the order of the logits."""
    text = resources.files(__package__).joinpath("kinetics_400.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


@functools.cache
def known_actions() -> frozenset[str]:
    """Return the labels in lower case."""
    return frozenset(label.lower() for label in labels())


def action_of(prompt: str) -> str:
    """Return the action that a prompt names, in lower case."""
    return prompt.lower().rsplit("person is ", 1)[-1].strip().rstrip(".!").strip()


def likely_actions(logits: torch.Tensor) -> list[tuple[str, float]]:
    """Return which of the five likeliest labels of ``(400,)`` logits pass, with their rounded probabilities."""
    import torch

    values, indices = logits.float().sigmoid().topk(TOP)
    # Indices as floats too: one copy from the device.
    likely, places = torch.stack([values.double(), indices.double()]).tolist()
    rounded = [round(value, 4) for value in likely]
    pairs = zip(map(int, places), rounded, strict=True)
    return [(labels()[index], value) for index, value in pairs if value >= THRESHOLD]


def prepare(frames: torch.Tensor) -> torch.Tensor:
    """Return ``(T, 3, 224, 224)`` network input of uint8 frames: OpenCV's uint8 bilinear to 256, centre crop."""
    from pytest_vidmetrics.media.resize import cv2_bilinear_uint8

    size = shorter_side(frames.shape[-2], frames.shape[-1], RESIZED)
    return normalise(centre_crop(cv2_bilinear_uint8(frames, size)).float(), IMAGENET_MEAN, IMAGENET_STD)
