"""Motion masks of Physics-IQ: background subtraction against a running average, in exact integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def blurred_grey(frame: Tensor) -> Tensor:
    """Return the ``(H, W)`` int32 grey levels of a ``(3, H, W)`` uint8 RGB frame after a 5x5 Gaussian.

    The integers are those of OpenCV's ``cvtColor`` and ``GaussianBlur`` (sigma 0, mirrored border) on uint8.
    """
    import torch

    red, green, blue = frame.int().unbind(0)
    grey = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15
    height, width = grey.shape
    rows = _mirrored(height).to(grey.device)
    columns = _mirrored(width).to(grey.device)
    wide = torch.index_select(grey, 1, columns)
    across = _binomial([wide[:, k : k + width] for k in range(5)])
    tall = torch.index_select(across, 0, rows)
    return (_binomial([tall[k : k + height] for k in range(5)]) + 128) >> 8


def _mirrored(length: int) -> Tensor:
    import torch

    where = torch.arange(-2, length + 2).abs()
    last = length - 1
    return (last - (last - where).abs()).clamp(0, last)


def _binomial(taps: list[Tensor]) -> Tensor:
    return taps[0] + taps[4] + 4 * (taps[1] + taps[3]) + 6 * taps[2]


def motion_masks(frames: Tensor, threshold: float, alpha: float) -> Tensor:
    """Return ``(T, H, W)`` bool masks of what moves in ``(T, 3, H, W)`` uint8 RGB frames.

    A pixel moves when it differs by more than ``threshold`` grey levels from the running average, which takes in
    the frame with weight ``alpha`` first; then a 5x5 opening and closing. The first mask is empty.
    """
    import torch

    masks = torch.zeros((len(frames), *frames.shape[2:]), dtype=torch.bool, device=frames.device)
    average: Tensor | None = None
    for mask, frame in zip(masks, frames, strict=True):
        grey = blurred_grey(frame)
        if average is None:
            average = grey.double()
            continue
        average.mul_(1 - alpha).add_(grey.double() * alpha)
        background = average.float().round().clamp(0, 255).int()
        mask.copy_((grey - background).abs() > threshold)
    if len(masks) > 1:
        masks[1:] = _open_close(masks[1:])
    return masks


def _open_close(masks: Tensor) -> Tensor:
    opened = _spread(_shrink(masks))
    return _shrink(_spread(opened))


def _spread(masks: Tensor) -> Tensor:
    return _any_of_five(_any_of_five(masks, 1), 2)


def _shrink(masks: Tensor) -> Tensor:
    """Erode; the outside of the frame counts as moving, so the border does not erode by itself."""
    return ~_spread(~masks)


def _any_of_five(masks: Tensor, dim: int) -> Tensor:
    out = masks.clone()
    length = masks.shape[dim]
    for step in (1, 2):
        if step < length:
            ahead = masks.narrow(dim, step, length - step)
            behind = masks.narrow(dim, 0, length - step)
            out.narrow(dim, 0, length - step).logical_or_(ahead)
            out.narrow(dim, step, length - step).logical_or_(behind)
    return out
