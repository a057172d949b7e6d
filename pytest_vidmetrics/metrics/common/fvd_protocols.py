"""Named ways of turning a clip into one row of features: scores of different protocols are never compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.core.hashing import digest_json


@dataclass(frozen=True)
class Protocol:
    """One protocol. ``frames=None`` reads the whole clip, else ``frames`` of it as ``clip`` says.

    ``resize`` is ``"none"``, ``"squash"`` (both sides to 224) or ``"crop"`` (shorter side to 224, centre crop),
    bilinear at half-pixel centres without antialiasing, after scaling to [-1, 1]. ``family`` is the family of
    checkpoints, which fixes the weights and the batch-norm epsilon; ``layer`` and ``ddof`` act on stored rows.
    """

    name: str
    extractor: str
    frames: int | None = None
    clip: Literal["first", "uniform"] = "first"
    resize: Literal["none", "squash", "crop"] = "squash"
    family: str = "torchscript"
    layer: Literal["logits", "pooled"] = "logits"
    ddof: int = 1

    def request(self) -> FrameRequest:
        """Return which frames of a clip are read."""
        return ALL_FRAMES if self.frames is None else FrameRequest(self.frames, self.clip)

    def feature_fields(self) -> dict[str, Any]:
        """Return what a stored row depends on: everything but the name, the layer and the covariance's divisor."""
        return {key: value for key, value in asdict(self).items() if key not in {"name", "layer", "ddof"}}

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with every rule, and not with the name."""
        return digest_json({key: value for key, value in asdict(self).items() if key != "name"})[:16]


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("fastvideo", "i3d"),
        Protocol("fvd2048_16f", "i3d", frames=16, ddof=0),
        Protocol("fvd2048_128f", "i3d", frames=128, ddof=0),
        Protocol("videogpt", "i3d", frames=16, resize="crop", family="videogpt"),
        Protocol("usage-guide", "i3d", frames=16, clip="uniform", family="piergiaj", layer="pooled"),
        Protocol("motion-energy", "motion_energy", resize="none", family="none"),
    )
}
_DEFAULTS = {"i3d": "fastvideo", "motion_energy": "motion-energy"}


def choose(extractor: str, name: str | None) -> Protocol:
    """Return a protocol by name, or the extractor's default.

    Raises ``ValueError`` for an unknown extractor or protocol, and for a protocol of another extractor.
    """
    if extractor not in _DEFAULTS:
        raise ValueError(f"extractor must be one of {', '.join(_DEFAULTS)}, got {extractor!r}")
    name = name or _DEFAULTS[extractor]
    known = [key for key, protocol in PROTOCOLS.items() if protocol.extractor == extractor]
    if name not in known:
        raise ValueError(f"protocol of extractor {extractor!r} must be one of {', '.join(known)}, got {name!r}")
    return PROTOCOLS[name]
