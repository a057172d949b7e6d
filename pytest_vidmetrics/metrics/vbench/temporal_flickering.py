"""VBench temporal flickering: how little consecutive frames differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.static_filter import KEPT, is_static
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import RAFT_THINGS

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.flow.clip_flow import Forward
    from pytest_vidmetrics.networks.flow.raft import RaftThings


@register("vbench.temporal_flickering")
class TemporalFlickering(BaseMetric):
    """``(255 - mean absolute difference of consecutive frames) / 255``; higher is better, 1 is a still.

    Source: VBench (Huang et al. 2024), dimension ``temporal_flickering``. Differences are exact integer sums over
    all pixels and channels, then the mean over frame pairs. A clip of one frame has no pair and is skipped: the
    original yields NaN. ``details["per_pair_mae"]`` lists the differences in grey levels.

    ``static_filter=True`` is the benchmark's own protocol: of each ``text_prompt`` only the first five clips count
    that hardly move (:func:`~.static_filter.is_static`, by RAFT). A prompt with fewer is remarked upon. Every clip
    is scored all the same; ``details["static"]`` says whether it is one of them.
    At most ``chunk_size`` pairs go through RAFT at a time; it does not change the score.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    requires_reference: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    noise_source: ClassVar[str] = "integer sums: the same pixels give the same score on every machine"
    tf32_change: ClassVar[float | None] = 0.0
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.001, common=0.0001)

    _network: Network[RaftThings] = Network(
        "raft-things.pth",
        ".flow.raft:read",
        RAFT_THINGS,
        choose=lambda metric: [RAFT_THINGS] if metric.static_filter else [],
    )

    def __init__(self, static_filter: bool = False, chunk_size: int | None = None) -> None:
        self.static_filter = static_filter
        self.chunk_size = chunk_size

    def required_keys(self) -> tuple[str, ...]:
        """Return the video, and the prompt where clips are chosen by prompt."""
        return (*super().required_keys(), "text_prompt") if self.static_filter else super().required_keys()

    def _forward(self) -> Forward:
        from pytest_vidmetrics.networks.flow.clip_flow import padded

        return padded(self._network)

    def looks_at_details(self) -> bool:
        """Return whether clips are filtered: which are static, and of which prompt, is in their details."""
        return self.static_filter

    def counted(self, results: Mapping[str, MetricResult]) -> Mapping[str, MetricResult]:
        """Return the first five static clips of each prompt, or all without the filter."""
        if not self.static_filter:
            return results
        return {id: results[id] for ids in _static_by_prompt(results).values() for id in ids[:KEPT]}

    def remarks(self, results: Mapping[str, MetricResult]) -> tuple[str, ...]:
        """Name the prompts with too few static clips."""
        if not self.static_filter:
            return ()
        few = {prompt: len(ids) for prompt, ids in _static_by_prompt(results).items() if len(ids) < KEPT}
        named = ", ".join(f"{prompt!r} ({count})" for prompt, count in list(few.items())[:3])
        more = f" and {len(few) - 3} more" if len(few) > 3 else ""
        return (f"{len(few)} prompts have fewer than {KEPT} static clips: {named}{more}",) if few else ()

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video``, ``(T, 3, H, W)`` uint8."""
        import math

        frames = sample["video"]
        if len(frames) < 2:
            return self._skip(sample, f"the clip has {len(frames)} frame: flicker needs at least 2")
        per_pair = [total / frames[0].numel() for total in self._sums(frames)]
        score = (255.0 - math.fsum(per_pair) / len(per_pair)) / 255.0
        details: dict[str, Any] = {"per_pair_mae": per_pair}
        if self.static_filter:
            still = is_static(frames, self._forward(), self._pairs(frames))
            details |= {"static": still, "text_prompt": str(sample["text_prompt"])}
        return MetricResult(self.name, score, details)

    def _pairs(self, frames: torch.Tensor) -> int:
        from pytest_vidmetrics.networks.flow import memory

        return self.chunk(len(frames) - 1, memory.pair_bytes(*frames.shape[-2:]), memory.PAIRS_ON_PROCESSOR)

    def _sums(self, frames: torch.Tensor) -> list[int]:
        """Return the exact sum of absolute differences of each pair of consecutive frames."""
        import torch

        size = self.chunk(len(frames) - 1, 16 * frames[0].numel(), on_processor=1)
        before, after = frames[:-1].split(size), frames[1:].split(size)
        # int16, as differences of uint8 wrap around; the sum of them is int64.
        sums = [(b.short() - a.short()).abs_().sum(dim=(1, 2, 3)) for a, b in zip(before, after, strict=True)]
        found: list[int] = torch.cat(sums).tolist()
        return found


def _static_by_prompt(results: Mapping[str, MetricResult]) -> dict[str, list[str]]:
    """Return the sorted ids of the static clips of every prompt, also of one that has none."""
    found: dict[str, list[str]] = {}
    for id, result in sorted(results.items()):
        ids = found.setdefault(str(result.details["text_prompt"]), [])
        if result.details["static"]:
            ids.append(id)
    return found
