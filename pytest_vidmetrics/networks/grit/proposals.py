"""Where GRiT suspects an object: the head of CenterNet2 (arXiv 2103.07461) for one class, on all five maps."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.ops import nms

from pytest_vidmetrics.networks.grit.backbone import CHANNELS, STRIDES

LEAST_HEAT = 1e-4
PER_LEVEL, MOST = 1000, 256
OVERLAP = 0.9
LEAST_SIDE = 0.01


class CenterNet(nn.Module):
    """One tower of convolutions for all maps. Modules are named as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        tower: list[nn.Module] = []
        for _ in range(4):
            tower += [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.GroupNorm(32, CHANNELS), nn.ReLU()]
        self.bbox_tower = nn.Sequential(*tower)
        self.bbox_pred = nn.Conv2d(CHANNELS, 4, 3, padding=1)
        self.agn_hm = nn.Conv2d(CHANNELS, 1, 3, padding=1)
        self.scales = nn.ModuleList(_Scale() for _ in STRIDES)

    def forward(self, pyramid: tuple[torch.Tensor, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return, per map, ``(boxes, scores)`` of the frames: ``(N, k, 4)`` in pixels and ``(N, k)`` in [0, 1]."""
        found = []
        for stride, (heat, sides) in zip(STRIDES, self.maps(pyramid), strict=True):
            found.append(best_cells(heat, sides * stride, stride))
        return found

    def maps(self, pyramid: tuple[torch.Tensor, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return, per map, the ``(N, 1, h, w)`` heat before the sigmoid and the ``(N, 4, h, w)`` sides in strides."""
        out = []
        for x, scale in zip(pyramid, self.scales, strict=True):
            tower = self.bbox_tower(x)
            out.append((self.agn_hm(tower), scale(self.bbox_pred(tower)).relu()))
        return out


class _Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def best_cells(heat: torch.Tensor, sides: torch.Tensor, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``(N, k, 4)`` boxes and ``(N, k)`` heat in [0, 1] of the at most 1000 hottest cells of a map.

    ``sides`` are the distances from a cell's centre to the left, top, right and bottom, in pixels. Boxes are at least
    0.01 pixels wide and high, and reach beyond the frame.
    """
    height, width = heat.shape[-2:]
    row = torch.arange(height, device=heat.device).repeat_interleave(width, output_size=height * width)
    column = torch.arange(width, device=heat.device).repeat(height)
    # (h * w, 2): centres of the cells in pixels
    centres = (torch.stack([column, row], dim=-1) * stride + stride // 2).to(sides.dtype)
    # (N, h * w, 2) each
    left_top, right_bottom = sides.flatten(2).transpose(1, 2).chunk(2, dim=-1)
    low = centres - left_top
    high = torch.maximum(centres + right_bottom, low + LEAST_SIDE)
    boxes, values = torch.cat([low, high], dim=-1), heat.sigmoid().flatten(1)
    if values.shape[1] > PER_LEVEL:  # a stable sort: the same cells on every machine, also among equals
        values, order = (part[:, :PER_LEVEL] for part in values.sort(dim=1, descending=True, stable=True))
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    return boxes, values


def choose(found: list[tuple[torch.Tensor, torch.Tensor]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return each frame's ``(k, 4)`` proposals and ``(k,)`` scores, best first: about 256 that overlap by 0.9 at most.

    ``found`` is what :class:`CenterNet` gives. A score is the root of the heat. Equals of the last one stay.
    """
    boxes, heat = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
    return [_choose(one, values) for one, values in zip(boxes, heat, strict=True)]


def _choose(boxes: torch.Tensor, heat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    warm = heat > LEAST_HEAT
    boxes, scores = boxes[warm], heat[warm].sqrt()
    kept = nms(boxes, scores, OVERLAP)
    boxes, scores = boxes[kept], scores[kept]
    if len(scores) > MOST:
        enough = scores >= scores[MOST - 1]
        boxes, scores = boxes[enough], scores[enough]
    return boxes, scores
