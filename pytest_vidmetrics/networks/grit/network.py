"""The whole of GRiT: frames to boxes with a label and a caption each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks import wordpiece
from pytest_vidmetrics.networks.grit import backbone as vit
from pytest_vidmetrics.networks.grit.boxes import LEAST_SCORE, BoxHeads, Frames, pool
from pytest_vidmetrics.networks.grit.proposals import CenterNet, choose
from pytest_vidmetrics.networks.grit.text import CAPTION, LABEL, SIDE, TextDecoder

BOXES_AT_ONCE = {"cpu": 32, "cuda": 256}
"""Boxes whose texts are written together: the keys and values of one take 8.7 MB."""
BOXES_A_FRAME = 16
"""Boxes written together for each frame of a chunk, so that a smaller chunk takes less memory here too."""
TOKENS_AT_ONCE = {"cpu": 1 << 11, "cuda": 1 << 15}
"""Tokens of 16 x 16 pixels of the frames that go through the backbone together; one frame is the least."""
_BOTTOM_UP = "backbone.bottom_up."
_DECODER = "roi_heads.text_decoder.textual."
_BLOCKS, _LAYERS = f"{_BOTTOM_UP}blocks.", f"{_DECODER}transformer.encoder.layer."
_IGNORED = ("roi_heads.mask_head.", "roi_heads.text_decoder_det.")
"""Masks reach no score; the second is VBench's other name for the one decoder."""


@dataclass(frozen=True)
class FrameObjects:
    """What one frame shows, best first: boxes in whole pixels (left, top, right, bottom), labels and captions."""

    boxes: tuple[tuple[int, int, int, int], ...]
    labels: tuple[str, ...]
    captions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {"boxes": [list(box) for box in self.boxes], "labels": self.labels, "captions": self.captions}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        """Return what :meth:`to_json` was given."""
        boxes = tuple((int(a), int(b), int(c), int(d)) for a, b, c, d in body["boxes"])
        return cls(boxes, tuple(body["labels"]), tuple(body["captions"]))


class Grit(nn.Module):
    """The network. ``state`` is the published state dict, in any float type.

    It may have fewer blocks and layers than the published one; every other tensor must be there, and no further one.
    Raises ``ValueError`` for missing or surplus tensors and for other shapes, such as those of GRiT-L and GRiT-H.
    ``least`` is the score above which a box is an object; upstream's training used 0.02, VBench 0.5.
    """

    def __init__(self, state: hf.State, vocabulary: wordpiece.Vocabulary, least: float = LEAST_SCORE) -> None:
        super().__init__()
        state = {key: value for key, value in state.items() if not key.startswith(_IGNORED)}
        blocks, layers = _depth(state, _BLOCKS), _depth(state, _LAYERS)
        with torch.device("meta"):
            self.backbone = vit.Backbone(blocks)
            self.proposal_generator = nn.ModuleDict({"centernet_head": CenterNet()})
            self.roi_heads = BoxHeads()
            self.roi_heads.text_decoder = nn.ModuleDict({"textual": TextDecoder(layers)})
        _check(state, self)
        hf.assign(self, {_own_name(key): value for key, value in state.items()})
        # Tied again, so that 94 MB are held once.
        if torch.equal(self.text.output.weight, self.text.embedding.words.weight):  # the file holds it twice
            self.text.output.weight = self.text.embedding.words.weight
        self.vocabulary, self.least = vocabulary, least

    @property
    def proposals(self) -> CenterNet:
        """The head that proposes boxes."""
        found: CenterNet = self.proposal_generator["centernet_head"]
        return found

    @property
    def text(self) -> TextDecoder:
        """The decoder of labels and captions."""
        found: TextDecoder = self.roi_heads.text_decoder["textual"]
        return found

    def forward(self, frames: torch.Tensor, chunk_size: int = 16) -> list[FrameObjects]:
        """Return what each of ``(N, 3, H, W)`` RGB frames in 0..255 (uint8 or float) shows, at their own size.

        Frames go through the backbone together, at most ``chunk_size``, and fewer where they are large; the boxes of
        all frames go through the decoder together, a fixed number at a time. Labels and captions of a box are written
        from one look at it.
        """
        device = self.text.output.weight.device
        with torch.inference_mode():
            found: Frames = []
            texts: list[tuple[str, str]] = []
            waiting: list[torch.Tensor] = []
            most = min(BOXES_AT_ONCE.get(device.type, BOXES_AT_ONCE["cpu"]), BOXES_A_FRAME * chunk_size)
            for part in frames.split(_frames_at_once(chunk_size, frames)):
                objects, features = self.look(part.to(device))
                found += objects
                waiting.append(features)
                # Boxes of several frames fill a batch of the decoder.
                if sum(map(len, waiting)) >= most:
                    texts += self._texts(torch.cat(waiting), most)
                    waiting.clear()
            if waiting:
                texts += self._texts(torch.cat(waiting), most)
            return list(_by_frame(found, texts))

    def look(self, frames: torch.Tensor) -> tuple[Frames, torch.Tensor]:
        """Return each frame's objects and the ``(k, 196, 256)`` features of all of them, frame by frame."""
        height, width = frames.shape[-2:]
        pyramid = self.backbone(vit.prepare(frames))
        objects = self.roi_heads(pyramid, choose(self.proposals(pyramid)), (height, width), self.least)
        objects = [_with_area(*one) for one in objects]
        boxes = torch.cat([values for values, _ in objects])
        frame = torch.cat([values.new_full((len(values),), i) for i, (_, values) in enumerate(objects)])
        # (k, 256, 14, 14) becomes (k, 196, 256)
        return objects, pool(pyramid, boxes, frame, SIDE).flatten(2).transpose(1, 2)

    def _texts(self, features: torch.Tensor, most: int) -> Iterator[tuple[str, str]]:
        """Yield the label and the caption of each box."""
        for part in features.split(most) if len(features) else ():
            memory = self.text.look(part)
            labels, captions = (self.text.write(memory, begin).ids[:, 1:].tolist() for begin in (LABEL, CAPTION))
            for label, caption in zip(labels, captions, strict=True):
                yield self.vocabulary.decode(label), self.vocabulary.decode(caption)


def _frames_at_once(chunk_size: int, frames: torch.Tensor) -> int:
    tokens = -(-frames.shape[-2] // vit.PATCH) * -(-frames.shape[-1] // vit.PATCH)
    most = TOKENS_AT_ONCE.get(frames.device.type, TOKENS_AT_ONCE["cpu"])
    return max(1, min(chunk_size, most // tokens))


def _with_area(boxes: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Leave out the boxes that are exactly 0 wide or high: upstream drops them with their texts."""
    solid = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return boxes[solid], scores[solid]


def _by_frame(found: Frames, texts: list[tuple[str, str]]) -> Iterator[FrameObjects]:
    rest = iter(texts)
    for boxes, _ in found:
        # Whole pixels by cutting, not by rounding.
        whole = [tuple(int(side) for side in box) for box in boxes.tolist()]
        # Texts come in the order of the boxes, frame by frame.
        mine = [next(rest) for _ in whole]
        yield FrameObjects(tuple(whole), tuple(label for label, _ in mine), tuple(caption for _, caption in mine))  # type: ignore[arg-type]


def _depth(state: hf.State, prefix: str) -> int:
    numbers = {int(key[len(prefix) :].split(".", 1)[0]) for key in state if key.startswith(prefix)}
    if not numbers:
        raise ValueError(f"there is no tensor {prefix}0.*")
    return 1 + max(numbers)


def _own_name(key: str) -> str:
    return _BOTTOM_UP + vit.vit_keys(key.removeprefix(_BOTTOM_UP)) if key.startswith(_BOTTOM_UP) else key


def _check(state: hf.State, network: nn.Module) -> None:
    """Raise ``ValueError`` for the first tensors that are missing, surplus or of another shape, by published names."""
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    # Messages use the published names; the network has those of transformers inside.
    given = {_own_name(key): (key, tuple(value.shape)) for key, value in state.items()}
    faults = {
        "missing": sorted(expected.keys() - given.keys()),
        "not of GRiT-B": sorted(key for own, (key, _) in given.items() if own not in expected),
        "of another shape": [
            f"{key} {shape}, expected {expected[own]}"
            for own, (key, shape) in given.items()
            if own in expected and shape != expected[own]
        ],
    }
    said = [f"{len(names)} tensors are {kind}: {', '.join(names[:2])}" for kind, names in faults.items() if names]
    if said:
        raise ValueError("; ".join(said))


def read(path: Path, vocabulary: Path, device: torch.device | str) -> Grit:
    """Return the network of a file of weights, in half precision under ``model`` or flat, with its vocabulary."""
    words = wordpiece.Vocabulary.read(vocabulary)
    return Grit(hf.read_state(path, "model"), words).to(device)
