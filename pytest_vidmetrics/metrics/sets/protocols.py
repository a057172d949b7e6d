"""Named ways of turning a clip into one row of features: scores of different protocols are never compared."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.core.hashing import digest_json

_READING = {
    "clip": ("first", "middle", "uniform", "random"),
    "aggregate": ("mean", "each"),
    "short": ("refuse", "repeat"),
}
_OWN = ("frames", "stride", "clip", "clips", "seed", "aggregate", "short", "ddof", "layer")
"""Rules that a caller may set: how a video is read, and what of a row is compared. The others are the network's."""
_LAYERS = {"i3d": ("logits", "pooled")}


@dataclass(frozen=True)
class Protocol:
    """One protocol. ``frames=None`` reads the whole video; else ``clips`` windows of ``frames`` frames are read.

    ``clip`` says where: ``"first"`` puts windows with ``stride`` one after the other at the start, ``"middle"``
    centres them, ``"random"`` draws their starts from ``seed`` and the length of the video (so that two videos of a
    pair are cut alike), ``"uniform"`` cuts the video into ``clips`` equal parts and spreads the frames evenly over
    each. ``aggregate`` is ``"mean"`` (one row per video) or ``"each"`` (one row per window). ``short`` says whether
    a video with too few frames is refused, or frames are repeated, which only ``"uniform"`` does.

    ``resize`` is ``"none"``, ``"squash"`` (both sides to 224), ``"crop"`` (shorter side to 224, centre crop) or
    ``"clip"`` (the same, with CLIP's antialiased bicubic); the others are bilinear at half-pixel centres without
    antialiasing. ``family`` is the family of checkpoints, which fixes the weights and the batch-norm epsilon;
    ``layer`` and ``ddof`` act on stored rows. Raises ``ValueError`` for rules that contradict each other.
    """

    name: str
    extractor: str
    frames: int | None = None
    clip: Literal["first", "middle", "uniform", "random"] = "first"
    resize: Literal["none", "squash", "crop", "clip"] = "squash"
    family: str = "torchscript"
    layer: Literal["logits", "pooled", "mean"] = "logits"
    ddof: int = 1
    stride: int = 1
    clips: int = 1
    seed: int = 0
    aggregate: Literal["mean", "each"] = "mean"
    short: Literal["refuse", "repeat"] = "refuse"

    def __post_init__(self) -> None:
        """Refuse rules that nobody can follow."""
        for rule, known in _READING.items():
            if getattr(self, rule) not in known:
                raise ValueError(f"{rule} must be one of {', '.join(known)}, got {getattr(self, rule)!r}")
        for rule in ("frames", "stride", "clips"):
            value = getattr(self, rule)
            if (value is not None or rule != "frames") and (type(value) is not int or value < 1):
                raise ValueError(f"{rule} must be a positive integer, got {value!r}")
        if self.ddof not in (0, 1) or type(self.seed) is not int:
            raise ValueError(f"ddof must be 0 or 1 and seed an integer, got {self.ddof!r} and {self.seed!r}")
        if self.frames is None and (self.stride, self.clips) != (1, 1):
            raise ValueError("stride and clips need a number of frames")
        if self.clip == "uniform" and self.stride != 1:
            raise ValueError("clip='uniform' spreads the frames by itself: stride must be 1")

    @property
    def rows_per_video(self) -> int:
        """How many rows one video gives."""
        return self.clips if self.aggregate == "each" else 1

    def request(self) -> FrameRequest:
        """Return which frames are decoded: a selection only where selecting from it again changes nothing."""
        if self.frames is None or self.stride != 1:
            return ALL_FRAMES
        if self.clip == "first":
            return FrameRequest(self.frames * self.clips, "first")
        return FrameRequest(self.frames) if self.clip == "uniform" and self.clips == 1 else ALL_FRAMES

    def windows(self, total: int) -> list[list[int]]:
        """Return the frame numbers of each window of a video of ``total`` frames.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` when it has too few.
        """
        if self.frames is None:
            return [list(range(total))]
        if self.clip == "uniform":
            return self._spread(total, self.frames)
        span = (self.frames - 1) * self.stride + 1
        # Random windows may overlap, others follow one another.
        needed = span if self.clip == "random" else span * self.clips
        if total < needed:
            raise self._too_short(total, needed)
        return [list(range(start, start + span, self.stride)) for start in self._starts(total, span)]

    def _spread(self, total: int, count: int) -> list[list[int]]:
        needed = self.clips * (count if self.short == "refuse" else 1)
        if total < needed:
            raise self._too_short(total, needed)
        edges = [i * total // self.clips for i in range(self.clips + 1)]
        steps = max(count - 1, 1)
        # The first and the last frame of each part are among its frames.
        return [[low + i * (high - low - 1) // steps for i in range(count)] for low, high in itertools.pairwise(edges)]

    def _starts(self, total: int, span: int) -> list[int]:
        if self.clip == "random":
            room = total - span + 1
            # A hash instead of a generator: the same on every machine and in every version.
            return [int(digest_json([self.seed, total, i])[:12], 16) % room for i in range(self.clips)]
        first = (total - span * self.clips) // 2 if self.clip == "middle" else 0
        return [first + i * span for i in range(self.clips)]

    def _too_short(self, total: int, needed: int) -> IncompatibleSampleError:
        return IncompatibleSampleError(f"the clip has {total} frames, protocol {self.name!r} needs at least {needed}")

    def feature_fields(self) -> dict[str, Any]:
        """Return what a stored row depends on: everything but the name, the layer and the covariance's divisor."""
        return {key: value for key, value in self._rules().items() if key not in {"layer", "ddof"}}

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with every rule, and not with the name."""
        return digest_json(self._rules())[:16]

    def _rules(self) -> dict[str, Any]:
        """Return the rules; a later one counts only where it is used, so that older hashes stay."""
        unused = {"stride": 1, "clips": 1, "aggregate": "mean", "short": "refuse"}
        unused |= {"seed": 0 if self.clip == "random" else self.seed}
        rules = asdict(self)
        del rules["name"]
        return {key: value for key, value in rules.items() if key not in unused or value != unused[key]}


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("fastvideo", "i3d"),
        Protocol("fvd2048_16f", "i3d", frames=16, ddof=0),
        Protocol("fvd2048_128f", "i3d", frames=128, ddof=0),
        Protocol("fvd2048_128f_subsample8f", "i3d", frames=16, stride=8, ddof=0),
        Protocol("videogpt", "i3d", frames=16, resize="crop", family="videogpt"),
        Protocol("usage-guide", "i3d", frames=16, clip="uniform", family="piergiaj", layer="pooled"),
        Protocol("clip", "clip", resize="clip", family="clip-vit-b32", layer="mean"),
        Protocol(
            "videomae", "videomae", frames=16, clip="uniform", family="videomae-base", layer="mean", short="repeat"
        ),
        Protocol("motion-energy", "motion_energy", resize="none", family="none"),
    )
}
_DEFAULTS = {"i3d": "fastvideo", "clip": "clip", "videomae": "videomae", "motion_energy": "motion-energy"}


def choose(extractor: str, protocol: str | Mapping[str, Any] | None) -> Protocol:
    """Return a protocol by name, the extractor's default, or one that ``{"base": name, rule: value, ...}`` changes.

    Raises ``ValueError`` for an unknown extractor, protocol or rule, and for a protocol of another extractor.
    """
    one_of("extractor", extractor, _DEFAULTS)
    changes = dict(protocol) if isinstance(protocol, Mapping) else {}
    name = (changes.pop("base", None) if isinstance(protocol, Mapping) else protocol) or _DEFAULTS[extractor]
    known = [key for key, value in PROTOCOLS.items() if value.extractor == extractor]
    if name not in known:
        raise ValueError(f"protocol of extractor {extractor!r} must be one of {', '.join(known)}, got {name!r}")
    if unknown := sorted(set(changes) - set(_OWN)):
        raise ValueError(f"protocol has no rule {unknown[0]!r}: {', '.join(('base', *_OWN))}")
    base = PROTOCOLS[name]
    if changes.get("layer", base.layer) not in (layers := _LAYERS.get(extractor, (base.layer,))):
        raise ValueError(f"layer of extractor {extractor!r} must be one of {', '.join(layers)}")
    changed = {key: value for key, value in changes.items() if value != getattr(base, key)}
    return replace(base, name=f"{name}*", **changed) if changed else base
