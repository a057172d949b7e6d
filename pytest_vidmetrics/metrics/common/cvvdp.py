"""ColorVideoVDP: how visible the difference from a reference is, on a display and at a distance."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.pairs import frame_pairs, pair_details
from pytest_vidmetrics.metrics.registry import register

PACKAGE = "cvvdp"


@register("common.cvvdp")
class Cvvdp(BaseMetric):
    """Quality of a clip against its reference in JOD (just-objectionable differences); 10 is identical, higher better.

    One JOD less is what three of four viewers see as worse. Computed by the authors' package (Mantiuk et al.,
    ColorVideoVDP, SIGGRAPH 2024, arXiv 2401.11485; MIT), which models contrast sensitivity in space, time and colour:
    install the extra ``cvvdp``. Its parameters are part of the package; nothing is fetched.

    ``display`` is one of the package's display models: peak luminance, ambient light, resolution and distance. It is
    part of the identity, and so is the version of the package. The frame rate is that of the clip, or ``fps`` of the
    sample. The first ``min(T)`` frames are scored, as one video; ``details["per_frame"]`` is the quality that a video
    of only such frames would have.

    Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for frames of different sizes, for a video
    without a frame rate, and :class:`ValueError` for a display that the package does not know.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    reads: ClassVar[tuple[str, ...]] = ("fps",)
    dependencies: ClassVar[Sequence[str]] = ("pycvvdp",)
    by_name_only: ClassVar[bool] = True
    unit: ClassVar[str] = "JOD"
    noise_floor: ClassVar[float] = 1e-3
    noise_source: ClassVar[str] = "float32 sums: one and two threads differ by less than 1e-5 on ten distortions"
    tf32_change: ClassVar[float | None] = float("inf")  # not measured; the package multiplies where it is told

    def __init__(self, display: str = "standard_fhd") -> None:
        self.display = display

    def identity(self) -> dict[str, Any]:
        """Add the version of the package that computes."""
        try:
            version = importlib.metadata.version(PACKAGE)
        except importlib.metadata.PackageNotFoundError:
            version = "none"
        return {**super().identity(), "package": f"{PACKAGE} {version}"}

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8."""
        import torch

        count = min(len(sample["video"]), len(sample["reference"]))
        # All frames in one chunk; a size of 1 lets an empty clip be refused.
        video, reference = next(frame_pairs(sample, count or 1))
        rate = float(sample.get("fps") or 0.0)
        if count > 1 and rate <= 0:
            raise IncompatibleSampleError(
                'the clip has no frame rate, as folders of images have none: give "fps" in the sample'
            )
        model = _model(self.display, self.device)
        # A rate of 0 says to the package that this is a picture.
        rate = rate if count > 1 else 0.0
        with torch.no_grad():
            quality, found = model.predict(video, reference, dim_order="FCHW", frames_per_second=rate)
            parts = torch.from_numpy(found["Q_per_ch"]).to(video.device)
            # Twice: a single frame would be pooled by the rule for pictures.
            frames = [float(model.do_pooling_and_jods(parts[:, :, [at, at]])) for at in range(parts.shape[2])]
        return MetricResult(self.name, float(quality), {"per_frame": frames, "fps": rate, **pair_details(sample)})


@functools.cache
def _model(display: str, device: str) -> Any:
    """Return the package's metric on a device. It puts its own folder on ``sys.path``, which is undone."""
    import torch

    before = list(sys.path)
    try:
        with warnings.catch_warnings():  # escapes in its source that Python warns of when it compiles them
            warnings.simplefilter("ignore")
            library = importlib.import_module("pycvvdp")
    finally:
        sys.path[:] = before
    try:
        return library.cvvdp(display_name=display, quiet=True, device=torch.device(device))
    except library.vq_exception as error:
        raise ValueError(f"display = {display!r}: {error}") from error
