"""VBench's static filter: which of a prompt's clips are still enough to be scored for temporal flickering."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.flow.clip_flow import Forward

KEPT = 5
"""How many static clips of a prompt count: the first ones by their ids."""
LARGEST = 0.02


def is_static(video: torch.Tensor, forward: Forward, size: int) -> bool:
    """Whether a clip of ``(T, 3, H, W)`` uint8 frames hardly moves; ``size`` pairs are computed together.

    A pair of consecutive frames moves when the mean of the largest 2 % of its flow magnitudes exceeds
    ``3 * min(H, W) / 256`` pixels; at most ``round(2 T / 16)`` may. First against last frame, both ways, must not
    exceed that limit times twice that count, which is 0 for fewer than five frames: then nothing may move at all.
    Every frame is used, whatever the frame rate; flow over the padding counts, as upstream. Pairs after the one
    that decides are not computed. Source: Vchitect/VBench ``vbench/cli/static_filter.py``.

    Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames too small for RAFT.
    """
    import torch

    from pytest_vidmetrics.networks.flow.model import FlowModel

    height, width = video.shape[-2:]
    FlowModel().check("the static filter", height, width, video.device)
    limit, allowed = 3.0 * min(height, width) / 256.0, round(2 * len(video) / 16)
    moving = 0
    for score in pair_motion(video, forward, size):
        moving += score > limit
        if moving > allowed:
            return False
    # Two pairs, there and back: first to last, last to first.
    ends = torch.cat([video[:1], video[-1:], video[:1]])
    return all(score <= limit * allowed * 2 for score in pair_motion(ends, forward, size))


def pair_motion(video: torch.Tensor, forward: Forward, size: int) -> Iterator[float]:
    """Yield the mean of the largest 2 % of the flow magnitudes of each pair of consecutive frames, in pixels."""
    for start in range(0, len(video) - 1, size):
        flow, _ = forward(video[start : start + size + 1])
        magnitude = flow.square().sum(dim=1).sqrt().flatten(1)
        taken = int(LARGEST * magnitude.shape[1])
        yield from magnitude.topk(taken, dim=1).values.double().mean(dim=1).tolist()
