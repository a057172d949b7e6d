"""The clips of one sample in one metric's hands: given as tensors, checked afterwards, and what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.engine.given import GivenSample
from pytest_vidmetrics.engine.identity import keys_read
from pytest_vidmetrics.engine.loading import HeldClip
from pytest_vidmetrics.engine.values import rate_key, source_of, times_key, timing
from pytest_vidmetrics.engine.work import Plan
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    import torch


class Handed:
    """What one metric gets of one sample on a device. ``keep``: the frames stay there for the next metric."""

    def __init__(self, metric: BaseMetric, plan: Plan, device: str, *, keep: bool) -> None:
        self._metric, self._plan, self._device, self._keep = metric, plan, device, keep
        self._clips: list[tuple[str, HeldClip, torch.Tensor]] = []

    def sample(self, clips: Mapping[str, HeldClip]) -> GivenSample:
        """Return the sample with its clips as tensors. Raises what reading one of these raised."""
        metric, plan = self._metric, self._plan
        values, keys = dict(plan.values), keys_read(metric)
        for key in keys:
            if key not in plan.clips:
                continue
            held = clips[plan.clips[key]]
            # An earlier metric wrote into it: what it holds now is nobody's clip.
            if held.spoiled:
                raise VidmetricsError(held.spoiled)
            values[key] = frames = held.frames(metric.frames(), metric.pixels, self._device, keep=self._keep)
            self._clips.append((key, held, frames))
            if (source := source_of(plan.values[key])) is not None:
                values.setdefault(f"{key}_path", source)
            if held.clip is not None:
                values |= timing(key, held.clip, values)
        return GivenSample(values, frozenset({*keys, *_implied(keys, plan)}))

    def spoiled(self) -> str:
        """Return what is wrong when the metric wrote into its frames, now or before; empty when it did not."""
        for key, held, frames in self._clips:
            held.check(frames, self._metric.name, key, keep=self._keep)
        return next((held.spoiled for _, held, _ in self._clips if held.spoiled), "")

    def facts(self) -> dict[str, ClipFacts]:
        """Return the facts of the clips that were given, by sample key."""
        clips = {key: held for key, held, _ in self._clips}
        # Only the candidate can be a copy of its reference.
        other = clips.get("reference") if "video" in clips else None
        return {
            key: held.facts(
                self._metric.frames(), self._plan.values.get(rate_key(key)), other if key == "video" else None
            )
            for key, held in clips.items()
        }


def _implied(keys: Sequence[str], plan: Plan) -> Iterator[str]:
    """Yield the sample keys that say nothing that a declared clip does not: its path, its times, and its sound."""
    for key in keys:
        yield f"{key}_path"
        yield times_key(key)
    for clip, sound in (("video", "audio"), ("reference", "reference_audio")):
        if clip in keys and sound not in plan.given:
            yield sound
