"""Structural similarity of a clip to its reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.pairs import frame_pairs, pair_details
from pytest_vidmetrics.metrics.registry import register

if TYPE_CHECKING:
    import torch

_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2
_LUMA = (0.299, 0.587, 0.114)
_STRIP = 24
"""Columns that one product with a banded matrix gives: fewer are more products, more are more zeros."""
_CPU_ROWS, _GPU_ROWS = 24, 128
"""Rows at a time: on a CPU what stays in the cache of a core."""


@register("common.ssim")
class SSIM(BaseMetric):
    """Mean over frames of the structural similarity index (Wang et al. 2004); 1 is identical, higher is better.

    11x11 Gaussian window with sigma 1.5, moments ``E[x^2] - E[x]^2``, computed in float64. The first ``min(T)``
    frames are scored; ``details["per_frame"]`` lists them.

    - ``window="valid"`` (default) counts only positions where the window lies inside the frame, as scikit-image
      does with ``gaussian_weights=True, use_sample_covariance=False``. ``"zero_padded"`` counts every pixel with
      zeros outside, as FastVideo does: black borders then count as agreement.
    - ``channels="rgb"`` averages the three channels, ``"luma"`` scores ``0.299 R + 0.587 G + 0.114 B``.
    - At most ``chunk_size`` frames are held at once and do not change the score.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True
    value_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    noise_floor: ClassVar[float] = 1e-9
    noise_source: ClassVar[str] = "float64 sums in any order, flat bright frames included: at most 1e-12 per frame"
    neutral_shift: ClassVar[NeutralShift | None] = NeutralShift(0.04)

    def __init__(
        self,
        window: Literal["valid", "zero_padded"] = "valid",
        channels: Literal["rgb", "luma"] = "rgb",
        chunk_size: int | None = None,
    ) -> None:
        one_of("window", window, ("valid", "zero_padded"))
        one_of("channels", channels, ("rgb", "luma"))
        self.window, self.channels, self.chunk_size = window, channels, chunk_size

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes, and
        for frames smaller than the window.
        """
        import math

        import torch

        height, width = sample["video"].shape[2:]
        if self.window == "valid" and min(height, width) < _WINDOW:
            raise IncompatibleSampleError(f"frames of {width}x{height} are smaller than the {_WINDOW}x{_WINDOW} window")
        video = sample["video"]
        # The float64 maps of some rows, and both frames.
        each = 100 * video[:1, :, : _GPU_ROWS + _WINDOW].numel() + 16 * video[:1].numel()
        size = self.chunk(len(video), each, on_processor=1)
        pairs = frame_pairs(sample, size)
        values = [self._values(self._planes(generated), self._planes(reference)) for generated, reference in pairs]
        per_frame: list[float] = torch.cat(values).tolist()
        # Rounding of equal frames may end a few units of the last place above what the measure can reach.
        score = min(1.0, math.fsum(per_frame) / len(per_frame))
        return MetricResult(self.name, score, {"per_frame": per_frame, **pair_details(sample)})

    def _planes(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, C, H, W)`` planes to compare, in 0 to 255, with the zeros outside where they count."""
        from torch.nn import functional as F

        planes = frames
        if self.channels == "luma":
            red, green, blue = (weight * frames[:, i : i + 1].double() for i, weight in enumerate(_LUMA))
            planes = red + green + blue
        return F.pad(planes, [_WINDOW // 2] * 4) if self.window == "zero_padded" else planes

    def _values(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the index of each of ``(N, C, H, W)`` pairs, float64."""
        import torch

        height, width = x.shape[2] - _WINDOW + 1, x.shape[3] - _WINDOW + 1
        # Plane by plane on a CPU: the maps of one stay in the cache.
        if x.device.type == "cpu":
            planes = zip(x.flatten(0, 1).split(1), y.flatten(0, 1).split(1), strict=True)
            sums = torch.cat([torch.stack([*_sums(a, b, _CPU_ROWS)]).sum(dim=0) for a, b in planes])
        else:
            sums = torch.stack([*_sums(x.flatten(0, 1), y.flatten(0, 1), _GPU_ROWS)]).sum(dim=0)
        return (sums.view(x.shape[:2]) / (height * width)).mean(dim=1)


def _sums(x: torch.Tensor, y: torch.Tensor, rows: int) -> Iterator[torch.Tensor]:
    """Yield the sum of the index over some rows at a time of each of ``(P, H, W)`` planes.

    The moments are of ``x``, ``2y``, ``x^2 + y^2`` and ``2xy``: the index needs no other. Float64 keeps what is left
    of ``E[x^2] - E[x]^2`` on flat bright frames, where float32 errs by more than a real difference.
    """
    import torch

    count, height, width = x.shape[0], x.shape[1] - _WINDOW + 1, x.shape[2] - _WINDOW + 1
    strips, over = -(-width // _STRIP), -width % _STRIP
    # Columns of zeros fill the last strip; what comes of them is set to zero before it is summed.
    held = x.new_zeros((4, count, min(rows, height) + _WINDOW - 1, x.shape[2] + over), dtype=torch.float64)
    for start in range(0, height, rows):
        # The rows of this part, and those that the window reaches below it.
        part = slice(start, min(start + rows, height) + _WINDOW - 1)
        maps = held[:, :, : part.stop - part.start]
        a, b, squares, products = maps[..., : x.shape[2]]
        a.copy_(x[:, part])
        b.copy_(y[:, part])
        torch.mul(a, a, out=squares).addcmul_(b, b)
        torch.mul(a, b.mul_(2), out=products)
        mx, my, squares, products = _blur(maps, strips).unbind(1)
        cross = mx * my
        means = mx.square_().addcmul_(my, my, value=0.25)
        above = products.sub_(cross).add_(_C2).mul_(cross.add_(_C1))
        below = squares.sub_(means).add_(_C2).mul_(means.add_(_C1))
        index = above.div_(below)
        index[-1, ..., _STRIP - over :] = 0.0
        yield index.sum(dim=(0, 2, 3))


def _blur(maps: torch.Tensor, strips: int) -> torch.Tensor:
    """Convolve ``(4, P, rows + 10, W)`` with the separable window: ``(strips, 4, P, rows, columns of a strip)``.

    Both directions are products with banded matrices, few passes over memory. The strips overlap in place.
    """
    import torch

    (*lead, rows, width), reach = maps.shape, _WINDOW - 1
    down = torch.matmul(_band(rows - reach, maps.device), maps).view(-1, width)
    overlapping = down.as_strided((strips, len(down), _STRIP + reach), (_STRIP, width, 1))
    across = torch.bmm(overlapping, _band(_STRIP, maps.device).T.expand(strips, -1, -1))
    return across.view(strips, *lead, rows - reach, _STRIP)


def _band(count: int, device: torch.device) -> torch.Tensor:
    """Return a ``(count, count + 10)`` matrix whose rows hold the window, each one step further right."""
    import torch
    from torch.nn import functional as F

    from pytest_vidmetrics.networks.shared import table

    def make() -> torch.Tensor:
        steps = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
        taps = torch.exp(-(steps**2) / (2 * _SIGMA**2))
        row = F.pad(taps / taps.sum(), [0, count])
        # A row is one longer than the matrix is wide, so that each next one starts a place further right.
        return row.repeat(count)[: count * (count + _WINDOW - 1)].view(count, -1)

    return table("ssim window", device, make, count)
