"""Captions of frames: each different picture once, and kept in the store of the engine if there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.weights import Weights, weights_sha256
from pytest_vidmetrics.media.pixels import frame_digest
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.tag2text.network import Described

_VERSION = 1
"""Changes whenever the same picture may give another caption."""

Describe = Callable[[torch.Tensor], list[Described]]
"""``(N, 3, 384, 384)`` uint8 frames to what the network says about each."""


def describe_frames(
    frames: torch.Tensor, describe: Describe, files: Sequence[Weights], chunk_size: int
) -> list[Described]:
    """Return what ``describe``, a network of ``files``, says about each of ``(N, 3, 384, 384)`` uint8 frames.

    It is asked for at most ``chunk_size`` frames at a time, for pictures that are equal once, and for none that the
    store knows.
    """
    digests = [frame_digest(frame) for frame in frames.cpu()]
    keeper = shared.keeper()
    weights = [weights_sha256(one) for one in files] if keeper is not None else []
    keys = {digest: digest_json(["tag2text", _VERSION, *weights, digest]) for digest in digests}
    known: dict[str, Described] = {}
    if keeper is not None:
        for digest, key in keys.items():
            if (found := keeper.get_json("tag2text", key)) is not None:
                known[digest] = Described(str(found[0]), str(found[1]))
    # Reversed: the first of equal pictures stays.
    first = {digest: i for i, digest in reversed(list(enumerate(digests))) if digest not in known}
    missing = sorted(first, key=first.__getitem__)
    for start in range(0, len(missing), chunk_size):
        chunk = missing[start : start + chunk_size]
        shared.forwards["tag2text frames"] += len(chunk)
        for digest, said in zip(chunk, describe(frames[[first[one] for one in chunk]]), strict=True):
            known[digest] = said
            if keeper is not None:
                keeper.put_json("tag2text", keys[digest], [said.tags, said.caption])
    return [known[digest] for digest in digests]
