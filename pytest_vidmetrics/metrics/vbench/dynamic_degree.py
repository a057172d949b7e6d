"""VBench dynamic degree: whether enough of a clip moves, by RAFT optical flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.vbench.base import VBenchMetric
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import RAFT_THINGS

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.networks.flow.raft import RaftThings


Compat = Literal["upstream", "fixed"]
RATE = 8


@register("vbench.dynamic_degree")
class DynamicDegree(VBenchMetric):
    """1 when enough pairs of frames move, else 0; the dimension is the share of dynamic clips.

    Frames are taken at about 8 per second (the step is ``round(fps / 8)``, halves to even). A pair moves when the
    mean of the largest 5 % of its flow magnitudes exceeds ``6 * min(H, W) / 256`` pixels; ``round(4 n / 16)`` of
    the ``n`` frames' pairs must. ``fps`` is the clip's frame rate, its file's unless it is given. One frame is not
    dynamic.

    ``compat="upstream"`` keeps two defects that its published scores have: two frames need no moving pair, so
    that a still of two frames is dynamic, and flow over the padding to multiples of 8 counts. ``"fixed"`` asks
    for at least one pair and leaves the padding out.

    Pairs after the one that decides are not computed: ``details["pair_scores"]`` ends with it; the frames of a pair are
    ``details["step"]`` apart.
    At most ``chunk_size`` pairs go through the network at a time; it does not change the score.
    Source: Vchitect/VBench ``dynamic_degree.py``, arXiv 2311.17982.
    """

    reads: ClassVar[tuple[str, ...]] = ("fps",)
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    binary: ClassVar[bool] = True
    backbone: ClassVar[str | None] = "raft-things"
    noise_source: ClassVar[str] = "one clip is 0 or 1; only a pair within rounding of the threshold could flip"
    tf32_change: ClassVar[float | None] = 0.0

    _network: Network[RaftThings] = Network("raft-things.pth", ".flow.raft:read", RAFT_THINGS)

    def __init__(self, compat: Compat = "upstream", chunk_size: int | None = None) -> None:
        one_of("compat", compat, ("upstream", "fixed"))
        self.compat: Compat = compat
        self.chunk_size = chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one clip."""
        video, step = self.clip(sample), frame_step(float(sample.get("fps") or 0))
        # A slice is another tensor, whose flow nobody else asks for.
        video = video[::step] if step > 1 else video
        self._check(video)
        limit, needed = threshold(video.shape[-2], video.shape[-1]), pairs_needed(len(video))
        if self.compat == "fixed":
            needed = max(1, needed)
        count = Count(limit, needed, len(video) - 1)
        scores = decide(self.pair_scores(video, count, keep=step == 1 and _others_want_flow()), count)
        details = {"threshold": limit, "needed": needed, "frames_used": len(video), "step": step, "pair_scores": scores}
        return MetricResult(self.name, float(count.dynamic), details)

    def _check(self, video: torch.Tensor) -> None:
        from pytest_vidmetrics.networks.flow.model import FlowModel

        FlowModel().check(self.name, video.shape[-2], video.shape[-1], self.device)

    def check_size(self, height: int, width: int, device: str) -> None:
        """Refuse frames of which one pair does not fit: a correlation of all cells with all cells."""
        from pytest_vidmetrics.networks.flow.memory import check_memory

        check_memory(self.name, height, width, device)

    def pair_scores(self, video: torch.Tensor, count: Count | None = None, *, keep: bool = False) -> Iterator[float]:
        """Yield how much each pair of consecutive ``(T, 3, H, W)`` uint8 frames moves, in pixels.

        With ``count`` no pair is computed that could come after the one that decides it. ``keep`` takes the flow from,
        or leaves it to, other metrics that look at the same frames, now or later.
        """
        from pytest_vidmetrics.networks.flow import memory
        from pytest_vidmetrics.networks.flow.clip_flow import ClipFlow, clip_flow, padded
        from pytest_vidmetrics.networks.flow.model import FlowModel

        forward = padded(self._network)
        pairs = len(video) - 1
        size = self.chunk(pairs, memory.pair_bytes(*video.shape[-2:]), memory.PAIRS_ON_PROCESSOR)
        if keep:
            flow = clip_flow(video, FlowModel(), lambda: forward, self.device, size)
        else:
            flow = ClipFlow(video, lambda: forward, size, precision=None)
        for pair in range(pairs):
            whole, inside = flow.motion(pair, pairs if count is None else count.sure)
            yield whole if self.compat == "upstream" else inside


def _others_want_flow() -> bool:
    """Whether metrics of flow look at the same sample: a field of one pair is 1.6 MB at 480p."""
    from pytest_vidmetrics.networks.shared import company

    return any(name.startswith("optical_flow.") for name in company())


def frame_step(fps: float) -> int:
    """Return how many frames of a clip one taken frame stands for. Raises ``IncompatibleSampleError``."""
    if not 0 < fps < float("inf"):
        raise IncompatibleSampleError(f"vbench.dynamic_degree needs a frame rate above 0, got fps={fps}")
    return max(1, round(fps / RATE))


def threshold(height: int, width: int) -> float:
    """Return the motion in pixels above which a pair of frames of this size moves."""
    return 6.0 * min(height, width) / 256.0


def pairs_needed(frames: int) -> int:
    """Return how many pairs of ``frames`` frames must move."""
    return round(4 * frames / 16)


def decide(scores: Iterator[float], count: Count) -> list[float]:
    """Count pairs until one decides whether the clip is dynamic, and return the scores up to it."""
    seen: list[float] = []
    for score in scores:
        seen.append(score)
        count.add(score)
        if count.decided:
            break
    return seen


@dataclass
class Count:
    """Moving pairs so far: of ``pairs``, ``needed`` must move more than ``limit``."""

    limit: float
    needed: int
    pairs: int
    moving: int = 0
    seen: int = 0

    def add(self, score: float) -> None:
        """Count the next pair."""
        self.seen += 1
        self.moving += score > self.limit

    @property
    def dynamic(self) -> bool:
        """Whether enough pairs moved. A clip without pairs is not dynamic."""
        return self.seen > 0 and self.moving >= self.needed

    @property
    def decided(self) -> bool:
        """Whether the pairs that are left change nothing."""
        return self.dynamic or self.moving + self.pairs - self.seen < self.needed

    @property
    def sure(self) -> int:
        """How many more pairs have to be seen before the clip can be decided, whatever they show; at least 1."""
        short, left = self.needed - self.moving, self.pairs - self.seen
        return max(1, min(short, left - short + 1))
