"""Physics-IQ (Motamed et al., 2025): how alike a generated continuation and the recorded scene move."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.clips import Kind
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register

if TYPE_CHECKING:
    from pytest_vidmetrics.metrics.physics_iq.clips import Clip, Window
    from pytest_vidmetrics.metrics.physics_iq.components import Components

_VARIANCES = 1024
_variances: OrderedDict[str, Components] = OrderedDict()


class _Comparison(BaseMetric):
    """Common part: the window, the frame rate, the motion masks, and the comparison with take 1.

    The first ``duration_seconds`` are compared (of ``video`` the last when ``video_time_selection="last"``) at a
    quarter of the reference's size and at the rate of ``video``: recordings of another rate are blended to it, as
    the benchmark does. ``target_fps`` is the rate of clips that do not say theirs. ``threshold`` (grey levels) and
    ``alpha`` (weight of a new frame in the background) define motion. ``*_mask`` may hold a clip's masks, as an
    array or a file; those of the benchmark are found by the name of the recording, others are computed.
    Masks stay lossless.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    reads: ClassVar[tuple[str, ...]] = ("fps", "reference_fps", "video_mask", "reference_mask")
    compares: ClassVar[tuple[Kind, ...]] = ()
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    noise_source: ClassVar[str] = "integer sums: the same pixels give the same score on every machine"

    def __init__(
        self,
        target_fps: float = 30,
        duration_seconds: float = 5,
        video_time_selection: Literal["first", "last"] = "first",
        threshold: float = 10,
        alpha: float = 0.3,
    ) -> None:
        one_of("video_time_selection", video_time_selection, ("first", "last"))
        if int(target_fps * duration_seconds) < 1:
            raise ValueError("target_fps * duration_seconds must be at least one frame")
        self.target_fps = target_fps
        self.duration_seconds = duration_seconds
        self.video_time_selection = video_time_selection
        self.threshold = threshold
        self.alpha = alpha

    def _window(self, sample: Mapping[str, Any], key: str) -> Window:
        from pytest_vidmetrics.metrics.physics_iq.clips import Window
        from pytest_vidmetrics.metrics.physics_iq.rates import rate_of

        height, width = sample["reference"].shape[2:]
        if min(height, width) < 4:
            raise IncompatibleSampleError(f"a {height}x{width} reference has no quarter size")
        rate = rate_of(sample, "video", self.target_fps)
        # A recording that says no rate has the usual one, not that of the generated clip.
        silent = key != "video" and sample.get(f"{key}_fps") is None
        return Window(
            size=(height // 4, width // 4),
            rate=rate,
            own_rate=self.target_fps if silent else rate_of(sample, key, rate),
            seconds=self.duration_seconds,
            threshold=self.threshold,
            alpha=self.alpha,
            last=key == "video" and self.video_time_selection == "last",
            times=sample.get("times" if key == "video" else f"{key}_times"),
        )

    def _clip(self, sample: Mapping[str, Any], key: str) -> Clip:
        from pytest_vidmetrics.metrics.physics_iq.clips import prepare

        return prepare(sample[key], sample.get(f"{key}_mask"), self._window(sample, key))

    def _components(self, sample: Mapping[str, Any]) -> Components:
        from pytest_vidmetrics.metrics.physics_iq.components import compare
        from pytest_vidmetrics.networks.shared import once

        reference, video = self._clip(sample, "reference"), self._clip(sample, "video")
        return once(("physics_iq components", id(reference)), lambda: compare(reference, video), of=video)


@register("physics_iq.mse")
class PhysicsMSE(_Comparison):
    """Mean squared error of quarter-size frames in [0, 1]; lower is better. ``details["per_frame"]``."""

    higher_is_better: ClassVar[bool] = False

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8."""
        found = self._components(sample)
        return MetricResult(self.name, found.mse, {"per_frame": list(found.mse_per_frame)})


@register("physics_iq.spatiotemporal_iou")
class SpatiotemporalIoU(_Comparison):
    """Mean over frames of the IoU of motion masks (1 where neither moves); higher is better."""

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8."""
        found = self._components(sample)
        details = {"per_frame": list(found.spatiotemporal_iou_per_frame)}
        return MetricResult(self.name, found.spatiotemporal_iou, details)


@register("physics_iq.spatial_iou")
class SpatialIoU(_Comparison):
    """IoU of the pixels that ever move; higher is better."""

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8."""
        return MetricResult(self.name, self._components(sample).spatial_iou)


@register("physics_iq.weighted_spatial_iou")
class WeightedSpatialIoU(_Comparison):
    """Sum of the smaller over sum of the larger share of time that a pixel moves; higher is better."""

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference``, both ``(T, 3, H, W)`` uint8."""
        return MetricResult(self.name, self._components(sample).weighted_spatial_iou)


@register("physics_iq")
class PhysicsIQ(_Comparison):
    """The four comparisons relative to how much two takes of the real scene differ: 0..100, higher is better.

    Needs ``reference_take2``. Takes without common motion leave the ratios undefined: the sample is skipped.
    The corpus score is no mean of sample scores: with ``compat="upstream"`` it is the benchmark's (means of views,
    then of scenarios, rounded variances), with ``"pooled"`` FastVideo's. Needs ``scenario`` for the former.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "reference_take2")
    reads: ClassVar[tuple[str, ...]] = (
        *_Comparison.reads,
        "reference_take2_fps",
        "reference_take2_mask",
        "scenario",
        "view",
    )
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 100.0)

    def __init__(
        self,
        target_fps: float = 30,
        duration_seconds: float = 5,
        video_time_selection: Literal["first", "last"] = "first",
        threshold: float = 10,
        alpha: float = 0.3,
        compat: Literal["upstream", "pooled"] = "upstream",
    ) -> None:
        super().__init__(target_fps, duration_seconds, video_time_selection, threshold, alpha)
        one_of("compat", compat, ("upstream", "pooled"))
        self.compat: Literal["upstream", "pooled"] = compat

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``video`` against ``reference`` and ``reference_take2``, all ``(T, 3, H, W)`` uint8."""
        from pytest_vidmetrics.metrics.physics_iq.components import score

        found, variance = self._components(sample), self._variance(sample)
        value = score(_terms(found), _terms(variance))
        if value is None:
            return self._skip(sample, "the two takes have no common motion: the score is undefined")
        facts: dict[str, Any] = {key: sample[key] for key in ("scenario", "view") if sample.get(key) is not None}
        facts["fps"] = self._window(sample, "video").rate
        facts["masks"] = {key: self._clip(sample, key).masks_from for key in ("video", "reference")}
        return MetricResult(self.name, value, {**found.details(), **variance.details("pv_"), **facts})

    def _variance(self, sample: Mapping[str, Any]) -> Components:
        """Return take 1 against take 2: once per scenario, from the engine's store where there is one."""
        from pytest_vidmetrics.core.hashing import digest_json
        from pytest_vidmetrics.metrics.physics_iq.clips import digest
        from pytest_vidmetrics.metrics.physics_iq.components import Components, compare
        from pytest_vidmetrics.networks.shared import keeper

        takes = ("reference", "reference_take2")
        digests = [
            digest(sample[key], sample.get(f"{key}_mask"), self._window(sample, key), sample.get(f"{key}_path"))
            for key in takes
        ]
        key, store = digest_json(["physics_iq variance", self.version, *digests]), keeper()
        if key in _variances:
            return _variances[key]
        known = store.get_json("physics_iq", key) if store is not None else None
        found = compare(*(self._clip(sample, take) for take in takes)) if known is None else Components.of(known)
        if store is not None and known is None:
            store.put_json("physics_iq", key, found.details())
        _variances[key] = found
        # The oldest ones go: a scenario is asked for by its few clips, close together.
        while len(_variances) > _VARIANCES:
            _variances.popitem(last=False)
        return found

    def corpus_score(self, results: Mapping[str, MetricResult]) -> float | None:
        """Return the benchmark's score of all clips; ``None`` when the takes have no common motion at all."""
        return self.aggregate(results.values(), self.compat)["physics_iq"]

    @staticmethod
    def aggregate(
        results: Iterable[MetricResult], compat: Literal["upstream", "pooled"] = "upstream"
    ) -> dict[str, float | None]:
        """Return the corpus score and its terms; see :func:`.components.corpus`. Unscored results are left out."""
        from pytest_vidmetrics.metrics.physics_iq.components import corpus

        return corpus((r.details for r in results if r.status == "scored"), compat)


def _terms(found: Components) -> tuple[float, float, float, float]:
    return found.mse, found.spatiotemporal_iou, found.spatial_iou, found.weighted_spatial_iou
