"""What the frames of a clip show: looked at once for all metrics of a sample, and kept for later runs."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.weights import weights_sha256
from pytest_vidmetrics.media.pixels import frame_digest
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.grit.network import FrameObjects, Grit
from pytest_vidmetrics.networks.published.video import GRIT_B
from pytest_vidmetrics.networks.shared import Keeper
from pytest_vidmetrics.networks.wordpiece import BERT_VOCABULARY

_VERSION = 1
"""Changes whenever the same frames may be said to show something else."""
_KIND = "grit"
COUNTER = "grit frames"
"""The key of ``shared.forwards`` that counts the frames which went through the network."""

Resize = Callable[[torch.Tensor], torch.Tensor]
"""``(N, 3, H, W)`` uint8 frames to frames in 0..255, uint8 or float, of the size that the network looks at."""


def clip_objects(
    video: torch.Tensor,
    picked: list[int],
    resize: Resize,
    resized_by: str,
    network: Callable[[], Grit],
    chunk_size: int,
) -> list[FrameObjects]:
    """Return what each of the ``picked`` frames of a ``(T, 3, H, W)`` uint8 clip shows.

    All callers within one sample that pick and resize in the same way share the result; equal frames are looked at
    once. With a store, frames that were seen before, in whatever clip, are read from it, and others are kept there.
    ``resized_by`` names what ``resize`` does to frames of this size: ``""`` for nothing.
    """
    key = ("grit", str(video.device), tuple(picked), resized_by)
    return shared.once(key, lambda: _look(video[picked], resize, resized_by, network, chunk_size), of=video)


def _look(
    video: torch.Tensor, resize: Resize, resized_by: str, network: Callable[[], Grit], chunk_size: int
) -> list[FrameObjects]:
    keeper = shared.keeper()
    digests = [frame_digest(frame) for frame in video.cpu()]  # one copy of the clip, not one a frame
    known: dict[str, FrameObjects] = {}
    keys: dict[str, str] = {}
    if keeper is not None:
        where = _where(video.device)
        keys = {digest: digest_json([_KIND, _VERSION, resized_by, *where, digest]) for digest in digests}
        known = _read(keeper, keys)
    # The first of equal frames alone.
    missing = [i for i, digest in enumerate(digests) if digest not in known and digests.index(digest) == i]
    for start in range(0, len(missing), chunk_size):  # a few frames as floats at a time, kept as soon as they are done
        part = missing[start : start + chunk_size]
        found = network()(resize(video[part]), chunk_size)
        shared.forwards[COUNTER] += len(part)
        for i, objects in zip(part, found, strict=True):
            known[digests[i]] = objects
            if keeper is not None:
                keeper.put_json(_KIND, keys[digests[i]], objects.to_json())
    return [known[digest] for digest in digests]


def _read(keeper: Keeper, keys: dict[str, str]) -> dict[str, FrameObjects]:
    bodies = {digest: keeper.get_json(_KIND, key) for digest, key in keys.items()}
    return {digest: FrameObjects.from_json(body) for digest, body in bodies.items() if body is not None}


def _where(device: torch.device) -> list[str]:
    """Return what else the words of a frame depend on: weights, kind of device and how exact its products are."""
    files = [weights_sha256(one) for one in (GRIT_B, BERT_VOCABULARY)]
    return [*files, device.type, torch.get_float32_matmul_precision()]
