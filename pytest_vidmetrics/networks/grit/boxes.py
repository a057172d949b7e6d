"""From proposals to objects: three box heads, each starting from the boxes of the one before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import nms, roi_align

from pytest_vidmetrics.networks.grit.backbone import CHANNELS, STRIDES

POOLED, HIDDEN = 7, 1024
STEPS = (10.0, 20.0, 30.0)
"""By how much each stage divides the shift of a box; growth is divided by half of it."""
LARGEST_GROWTH = math.log(1000 / 16)
LEAST_SCORE = 0.5
OVERLAP, MOST = 0.5, 256
LEVELS = (3, 4, 5)
_USUAL_LEVEL, _USUAL_SIDE = 4, 224

Frames = list[tuple[torch.Tensor, torch.Tensor]]
"""For each frame its ``(k, 4)`` boxes, left, top, right and bottom in pixels, and their ``(k,)`` scores."""


class BoxHeads(nn.Module):
    """The cascade. Modules are named as in the published file; masks, which no score sees, are not computed."""

    def __init__(self) -> None:
        super().__init__()
        self.box_head = nn.ModuleList(_Head() for _ in STEPS)
        self.box_predictor = nn.ModuleList(_Predictor() for _ in STEPS)

    def forward(
        self, maps: Sequence[torch.Tensor], proposals: Frames, size: tuple[int, int], least: float = LEAST_SCORE
    ) -> Frames:
        """Return each frame's objects, best first.

        ``maps`` are those of the strides 8, 16 and 32; ``size`` is height and width of the frames without padding,
        to which boxes are cut. An object's score is the root of the mean probability of the three heads times the
        proposal's score: above ``least``. Of those that overlap by more than 0.5 the best stays, at most 256.
        """
        scores = torch.cat([values for _, values in proposals])
        # Boxes of all frames go through the heads together; this says whose each is.
        frame = torch.cat([values.new_full((len(values),), i) for i, (_, values) in enumerate(proposals)])
        stages = list(self.stages(maps, torch.cat([values for values, _ in proposals]), frame, size))
        # Class 0 is the object.
        chance = sum((logits.softmax(dim=1)[:, 0] for logits, _, _ in stages), torch.zeros_like(scores)) / len(stages)
        boxes, total = stages[-1][2], (chance * scores).sqrt()
        return [_best(boxes[at], total[at], least) for at in (frame == i for i in range(len(proposals)))]

    def stages(
        self, maps: Sequence[torch.Tensor], boxes: torch.Tensor, frame: torch.Tensor, size: tuple[int, int]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield each stage's ``(k, 2)`` logits (object, nothing), ``(k, 4)`` raw changes and ``(k, 4)`` cut boxes.

        The first stage sees ``boxes`` as they are. ``frame`` numbers the frame of each box.
        """
        for step, head, predictor in zip(STEPS, self.box_head, self.box_predictor, strict=True):
            hidden = head(pool(maps, boxes, frame, POOLED))
            logits, changes = predictor(hidden)
            boxes = inside(moved(boxes, changes, step), size)
            yield logits, changes, boxes


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(CHANNELS * POOLED**2, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return F.relu(self.fc2(F.relu(self.fc1(pooled.flatten(1)))))


class _Predictor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_score = nn.Linear(HIDDEN, 2)
        self.bbox_pred = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 4))

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.cls_score(hidden), self.bbox_pred(hidden)


def pool(maps: Sequence[torch.Tensor], boxes: torch.Tensor, frame: torch.Tensor, side: int) -> torch.Tensor:
    """Return ``(k, 256, side, side)`` features of boxes, each from the map that fits its size.

    Boxes with a side below 224 pixels look at stride 8, below 448 at 16, others at 32. RoIAlign, half a pixel aligned,
    with as many samples as a cell has pixels.
    """
    level = levels(boxes)
    out = boxes.new_empty((len(boxes), CHANNELS, side, side))
    for number, stride, features in zip(LEVELS, STRIDES, maps, strict=False):
        at = (level == number).nonzero()[:, 0]
        # RoIAlign takes the number of the frame in front of each box.
        where = torch.cat([frame[at, None], boxes[at]], dim=1)
        out[at] = roi_align(features, where, side, spatial_scale=1 / stride, sampling_ratio=0, aligned=True)
    return out


def levels(boxes: torch.Tensor) -> torch.Tensor:
    """Return which map, 3 to 5, each box looks at."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # The canonical 224 pixels look at level 4; each halving is a level lower.
    level = (_USUAL_LEVEL + torch.log2(area.sqrt() / _USUAL_SIDE + 1e-8)).floor()
    return level.clamp(LEVELS[0], LEVELS[-1]).long()


def moved(boxes: torch.Tensor, changes: torch.Tensor, step: float) -> torch.Tensor:
    """Return boxes shifted by a share of their size and grown by a factor, as ``changes`` say."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + 0.5 * size
    # Bounded, as an exponential of a wild growth would overflow.
    shift, growth = changes[:, :2] / step, (changes[:, 2:] / (step / 2)).clamp(max=LARGEST_GROWTH)
    centre, size = centre + shift * size, size * growth.exp()
    return torch.cat([centre - 0.5 * size, centre + 0.5 * size], dim=1)


def inside(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return boxes cut to a frame of ``size``, height and width."""
    height, width = size
    x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)


def _best(boxes: torch.Tensor, scores: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    # Before suppression: a box that is not a number would suppress others.
    good = (scores > least) & scores.isfinite() & boxes.isfinite().all(dim=1)
    boxes, scores = boxes[good], scores[good]
    kept = nms(boxes, scores, OVERLAP)[:MOST]
    return boxes[kept], scores[kept]
