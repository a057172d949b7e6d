"""Motion masks of Physics-IQ: background subtraction against a running average, in exact integers.

Every sum fits its type exactly (int16 modulo 2**16, float32 below 2**24), so all machines give the same masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_CPU_PIXELS, _GPU_PIXELS = 1 << 18, 1 << 24
"""Pixels worked on at a time: what a core's cache holds, what keeps a GPU busy."""
_PACKED = 8


def blurred_grey(frames: Tensor) -> Tensor:
    """Return the ``(T, H, W)`` int16 grey levels of ``(T, 3, H, W)`` uint8 RGB frames after a 5x5 Gaussian.

    The integers are those of OpenCV's ``cvtColor`` and ``GaussianBlur`` (sigma 0, mirrored border) on uint8.
    """
    red, green, blue = frames.unbind(1)
    # OpenCV's weights of 15 bits: their sums are exact in float32.
    grey = red.float().mul_(9798 / 32768).add_(green, alpha=19235 / 32768).add_(blue, alpha=3735 / 32768)
    # The sum goes up to 65408: int16 wraps around, and the mask gives its upper byte back.
    return _binomial(grey.add_(0.5)).add_(128).bitwise_right_shift_(8).bitwise_and_(255)


def _binomial(grey: Tensor) -> Tensor:
    """Return the int16 sums of five neighbours each way, weighted 1 4 6 4 1: four times the sum of two.

    ``grey`` is cut to integers. The two buffers that take turns stay in the processor's cache.
    """
    import torch

    count, height, width = grey.shape
    # Two pixels more on each side, mirrored without the outermost one.
    wide = torch.empty((count, height + 4, width + 4), dtype=torch.int16, device=grey.device)
    wide[:, 2:-2, 2:-2] = grey
    for dim, last in ((2, width - 1), (1, height - 1)):
        for place, source in ((0, 2), (1, 1), (last + 3, last - 1), (last + 4, last - 2)):
            # A side of one or two pixels is mirrored twice.
            mirrored = min(max(last - abs(last - abs(source)), 0), last)
            wide.select(dim, place).copy_(wide.select(dim, mirrored + 2))
    spare = torch.empty_like(wide)
    for dim in (2, 2, 2, 2, 1, 1, 1, 1):
        size = wide.shape[dim] - 1
        torch.add(wide.narrow(dim, 1, size), wide.narrow(dim, 0, size), out=spare.narrow(dim, 0, size))
        wide, spare = spare.narrow(dim, 0, size), wide.narrow(dim, 0, size)
    return wide


def motion_masks(frames: Tensor, threshold: float, alpha: float) -> Tensor:
    """Return ``(T, H, W)`` bool masks of what moves in ``(T, 3, H, W)`` uint8 RGB frames.

    A pixel moves when it differs by more than ``threshold`` grey levels from the running average, which takes in
    the frame with weight ``alpha`` first; then a 5x5 opening and closing. The first mask is empty.
    """
    import torch

    count, _, height, width = frames.shape
    masks = torch.zeros((count, height, width), dtype=torch.bool, device=frames.device)
    pixels = _CPU_PIXELS if frames.device.type == "cpu" else _GPU_PIXELS
    step = max(1, pixels // (height * width))
    average = blurred_grey(frames[:1])[0].double()
    # Buffers for every frame: nothing is allocated in the loop.
    share, change = torch.empty_like(average), average.float()
    for start in range(1, count, step):
        levels = blurred_grey(frames[start : start + step])
        for mask, level in zip(masks[start:], levels, strict=False):
            average.mul_(1 - alpha).add_(share.copy_(level).mul_(alpha))
            torch.gt(change.copy_(average).round_().sub_(level).abs_(), threshold, out=mask)
    for start in range(1, count, _PACKED):
        _open_close(masks[start : start + _PACKED])
    return masks


def _open_close(masks: Tensor) -> None:
    """Open and close up to eight masks in place, one bit of a byte each: one pass does all of them."""
    import torch

    packed = torch.zeros(masks.shape[1:], dtype=torch.uint8, device=masks.device)
    for bit, mask in enumerate(masks):
        packed |= mask.view(torch.uint8) << bit
    # Opening, then closing: erode, spread twice, erode.
    packed = _shrink(_spread(_spread(_shrink(packed))))
    for bit, mask in enumerate(masks):
        torch.ne(packed & (1 << bit), 0, out=mask)


def _spread(packed: Tensor) -> Tensor:
    return _any_of_five(_any_of_five(packed, 0), 1)


def _shrink(packed: Tensor) -> Tensor:
    """Erode; the outside of the frame counts as moving, so the border does not erode by itself."""
    return _spread(packed.bitwise_not()).bitwise_not()


def _any_of_five(packed: Tensor, dim: int) -> Tensor:
    out = packed.clone()
    length = packed.shape[dim]
    for step in (1, 2):
        if step < length:
            ahead = packed.narrow(dim, step, length - step)
            behind = packed.narrow(dim, 0, length - step)
            out.narrow(dim, 0, length - step).bitwise_or_(ahead)
            out.narrow(dim, step, length - step).bitwise_or_(behind)
    return out
