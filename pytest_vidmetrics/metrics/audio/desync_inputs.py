"""Which frames and samples of a clip DeSync reads, and the frames as its network sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Compat = Literal["fastvideo", "av-benchmark"]

RATE = 16000
FPS = 25
SIDE = 224
FRAMES, FRAME_STEP = 16, 8
SAMPLES, SAMPLE_STEP = 10240, 5120
SEGMENTS = 14
NEEDED_FRAMES = FRAMES + (SEGMENTS - 1) * FRAME_STEP
NEEDED_SAMPLES = SAMPLES + (SEGMENTS - 1) * SAMPLE_STEP
NEEDED_SECONDS = NEEDED_SAMPLES / RATE


@dataclass(frozen=True)
class Plan:
    """What is read of one clip.

    ``frames`` holds the number of the source frame for each frame at 25 fps, ``samples`` how many samples at 16 kHz
    are kept. ``video`` and ``audio`` are the segments of 0.64 s, one every 0.32 s, that each of them has.
    """

    frames: tuple[int, ...]
    samples: int

    @property
    def video(self) -> int:
        """How many segments of 16 frames there are."""
        return max(0, (len(self.frames) - FRAMES) // FRAME_STEP + 1)

    @property
    def audio(self) -> int:
        """How many segments of 10240 samples there are."""
        return max(0, (self.samples - SAMPLES) // SAMPLE_STEP + 1)

    def windows(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the first segment of picture and of sound for the front and for the back window."""
        return (0, 0), (self.video - SEGMENTS, self.audio - SEGMENTS)


def plan(
    frames: int,
    fps: float,
    samples: int,
    compat: Compat,
    seconds: float | None = None,
    times: Sequence[float] | None = None,
) -> Plan:
    """Return what is read of a clip of ``frames`` at ``fps``, or at ``times``, with ``samples`` at 16 kHz.

    Both streams end after ``seconds`` where that is given. Otherwise ``"av-benchmark"`` cuts them to the length
    that they share; ``"fastvideo"`` does not, so that its back windows are apart by the difference of the lengths.
    """
    picked = nearest(frames, fps, times)
    limit = seconds
    if limit is None and compat == "av-benchmark":
        limit = min(times[-1] if times else frames / fps, samples / RATE)
    if limit is None:
        return Plan(picked, samples)
    return Plan(picked[: round(limit * FPS)], min(samples, round(limit * RATE)))


def nearest(total: int, fps: float, times: Sequence[float] | None = None) -> tuple[int, ...]:
    """Return the source frame shown at each tick of 25 fps; at least 16 ticks, unless the clip has that rate.

    ``times`` are those of a variable rate, see :func:`~pytest_vidmetrics.engine.values.timing`.
    """
    if times is not None:
        from pytest_vidmetrics.media.clock import shown_at

        return tuple(shown_at(times, i / FPS) for i in range(max(FRAMES, round(times[-1] * FPS))))
    if fps == FPS:
        return tuple(range(total))
    count = max(FRAMES, round(total / fps * FPS))
    return tuple(min(int(i * fps / FPS), total - 1) for i in range(count))


def segments(
    video: torch.Tensor, frames: Sequence[int], numbers: Sequence[int], compat: Compat, size: int
) -> Iterator[torch.Tensor]:
    """Yield ``(size, 16, 3, 224, 224)`` float32 network input of the segments ``numbers``, ``size`` at a time.

    ``video`` is ``(T, 3, H, W)`` uint8; a source frame is resized once, however many segments show it.
    """
    import torch

    shown = [[frames[n * FRAME_STEP + i] for i in range(FRAMES)] for n in numbers]
    used = sorted({number for row in shown for number in row})
    # One frame at a time: half the time of 16, whose float copies leave the cache.
    pixels = torch.cat([_prepare(video[number : number + 1], compat) for number in used])
    place = {number: i for i, number in enumerate(used)}
    rows = torch.tensor([[place[number] for number in row] for row in shown], device=pixels.device)
    for part in rows.split(size):
        yield pixels[part]


def _prepare(frames: torch.Tensor, compat: Compat) -> torch.Tensor:
    """Return ``(T, 3, 224, 224)`` in about [-1, 1]: shorter side to 224 by antialiased bicubic, centre crop.

    ``"av-benchmark"`` truncates the longer side, rounds to 256 levels and centres half to even; ``"fastvideo"``
    rounds the longer side, keeps fractions and overshoot, and rounds the start of the crop down.
    """
    import torch.nn.functional as F

    height, width = frames.shape[-2:]
    long = max(height, width) * SIDE / min(height, width)
    exact = compat == "av-benchmark"
    side = int(long) if exact else round(long)
    size = (SIDE, side) if height <= width else (side, SIDE)
    # Levels are rounded after each direction, as torchvision does: PyTorch has that for the CPU only.
    out = frames.cpu() if exact else frames.contiguous().float()
    if size != (height, width):
        out = F.interpolate(out, size=size, mode="bicubic", align_corners=False, antialias=True)
    top, left = ((round((n - SIDE) / 2) if exact else (n - SIDE) // 2) for n in size)
    out = out[..., top : top + SIDE, left : left + SIDE].to(frames.device)
    return out.div(127.5).sub_(1.0)
