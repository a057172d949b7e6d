"""Optical flow of a clip against that of its reference, or against the flow its actions should cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.common.pairs import pair_details
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import DPFLOW, RAFT_THINGS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pytest_vidmetrics.networks.flow.clip_flow import ClipFlow
    from pytest_vidmetrics.networks.flow.dpflow import DPFlow
    from pytest_vidmetrics.networks.flow.model import FlowModel
    from pytest_vidmetrics.networks.flow.raft import RaftThings


def _model_of(metric: _FlowMetric) -> FlowModel:
    from pytest_vidmetrics.networks.flow.model import FlowModel

    return FlowModel(metric.model_name, metric.ckpt)


def _weights_of(model_name: str) -> Callable[[_FlowMetric], list[Weights]]:
    """Return what a metric loads of one kind of network. Raises ``ValueError`` for a network that is not known."""

    def choose(metric: _FlowMetric) -> list[Weights]:
        model = _model_of(metric)
        return [model.checkpoint()] if model.model_name == model_name else []

    return choose


class _FlowMetric(BaseMetric):
    """Common part: a flow network, the twelve values per pair, their summary.

    The score is the mean over pairs of the mean endpoint error in pixels; lower is better. ``protocol="v2"`` keeps
    the fastest pixels and bins both flows alike; ``"fastvideo"`` gives that project's numbers on the same flow.
    ``model_name`` and ``ckpt`` name the network, see :class:`pytest_vidmetrics.networks.flow.model.FlowModel`.
    At most ``chunk_size`` pairs go through it at a time. Fields are kept in ``precision``, float16 or, lossless,
    float32; with ``store_fields`` also in the result store (4 or 8 bytes per pixel and pair), where both metrics
    here, and beside them ``vbench.dynamic_degree``, find them.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "px"
    backbone: ClassVar[str | None] = "raft-things"
    neutral: ClassVar[frozenset[str]] = frozenset({"chunk_size", "store_fields"})

    _raft: Network[RaftThings] = Network(
        "raft-things.pth", ".flow.raft:read", RAFT_THINGS, choose=_weights_of("raft_large")
    )
    _dpflow: Network[DPFlow] = Network(
        "dpflow", ".flow.dpflow:read", *DPFLOW.values(), choose=_weights_of("dpflow"), library=".flow.dpflow:check"
    )

    def __init__(
        self,
        protocol: Literal["v2", "fastvideo"] = "v2",
        min_mag: float = 0.5,
        max_mag_pct: float = 80.0,
        grid_size: int = 8,
        model_name: str = "raft_large",
        ckpt: str = "things",
        chunk_size: int | None = None,
        precision: Literal["float16", "float32"] = "float16",
        store_fields: bool = True,
    ) -> None:
        one_of("protocol", protocol, ("v2", "fastvideo"))
        one_of("precision", precision, ("float16", "float32"))
        self.protocol: Literal["v2", "fastvideo"] = protocol
        self.min_mag = min_mag
        self.max_mag_pct = max_mag_pct
        self.grid_size = grid_size
        self.model_name = model_name
        self.ckpt = ckpt
        self.chunk_size = chunk_size
        self.precision: Literal["float16", "float32"] = precision
        self.store_fields = store_fields

    def _model(self) -> FlowModel:
        return _model_of(self)

    def flow(self, video: Tensor) -> ClipFlow:
        """Return the flow of ``(T, 3, H, W)`` uint8 frames, shared by the metrics of one sample."""
        from pytest_vidmetrics.networks.flow import memory
        from pytest_vidmetrics.networks.flow.clip_flow import clip_flow, padded

        size = self.chunk(len(video) - 1, memory.pair_bytes(*video.shape[-2:]), memory.PAIRS_ON_PROCESSOR)
        return clip_flow(
            video,
            self._model(),
            lambda: padded(self._raft) if self.model_name == "raft_large" else self._dpflow,
            self.device,
            size,
            self.precision,
            store=self.store_fields,
            rounding=self.rounding().get("precision", ""),
        )

    def _check(self, video: Tensor) -> None:
        if video.ndim != 4 or video.shape[1] != 3:
            raise IncompatibleSampleError(f"{self.name} needs RGB frames (T, 3, H, W), got {tuple(video.shape)}")
        if len(video) < 2:
            raise IncompatibleSampleError(f"{self.name} needs at least two frames, got {len(video)}")
        self._model().check(self.name, video.shape[-2], video.shape[-1], self.device)

    def check_size(self, height: int, width: int, device: str) -> None:
        """Refuse frames of which one pair does not fit, with RAFT: the library of DPFlow has a way of its own."""
        from pytest_vidmetrics.networks.flow.memory import check_memory

        if self.model_name == "raft_large":
            check_memory(self.name, height, width, device)

    def _score(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> MetricResult:
        from pytest_vidmetrics.stats.flow import FlowOptions, compare_flows, summarise

        options = FlowOptions(self.protocol, self.min_mag, self.max_mag_pct, self.grid_size)
        frames = [compare_flows(a, b, options) for a, b in pairs]
        summary = summarise(frames)
        return MetricResult(self.name, summary["pixel_epe_mean_mean"], {**summary, "per_frame_metrics": frames})


@register("optical_flow.gt_optical_flow")
class GTOpticalFlow(_FlowMetric):
    """Flow of ``video`` against flow of ``reference``; the first ``min(T)`` frames."""

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``(T, 3, H, W)`` uint8 clips. Raises ``IncompatibleSampleError`` for other sizes or one frame."""
        video, reference = sample["video"], sample["reference"]
        if video.shape[1:] != reference.shape[1:]:
            sizes = f"{tuple(video.shape[1:])} and {tuple(reference.shape[1:])}"
            raise IncompatibleSampleError(f"{self.name} compares frames of one size, not {sizes}")
        count = min(len(video), len(reference))
        self._check(video[:count])
        first, second = self.flow(reference), self.flow(video)
        result = self._score((first.field(i), second.field(i)) for i in range(count - 1))
        return replace(result, details={**result.details, **pair_details(sample)})


@register("optical_flow.synthetic_optical_flow")
class SyntheticOpticalFlow(_FlowMetric):
    """Flow of ``video`` against the flow that its ``actions`` cause in a calibrated camera.

    ``actions`` holds ``keyboard`` ``(T, 4 or 6)`` and ``mouse`` ``(T, 2)``, one row per frame. ``calibration`` is a
    mapping; its focal length is rescaled from the width of its ``frame_shape`` to that of the clip. With
    ``protocol="fastvideo"`` it is not, ``init_pitch`` is ignored, and a short list of actions shortens the clip.
    """

    requires: ClassVar[tuple[str, ...]] = ("video", "actions", "calibration")
    reads: ClassVar[tuple[str, ...]] = ("mouse_pitch_sign",)
    requires_reference: ClassVar[bool] = False

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score ``(T, 3, H, W)`` uint8 frames. Raises ``IncompatibleSampleError`` for too few actions."""
        import numpy as np

        from pytest_vidmetrics.metrics.optical_flow.camera import Calibration, synthetic_flow

        video, actions = sample["video"], sample["actions"]
        self._check(video)
        keyboard, mouse = np.asarray(actions["keyboard"], np.float64), np.asarray(actions["mouse"], np.float64)
        if keyboard.ndim != 2 or keyboard.shape[1] not in (4, 6) or mouse.shape[1:] != (2,):
            raise IncompatibleSampleError(
                f"expected keyboard (T, 4 or 6) and mouse (T, 2), got {keyboard.shape} and {mouse.shape}"
            )
        short = len(keyboard) < 2 if self.protocol == "fastvideo" else len(keyboard) < len(video)
        if short or len(mouse) != len(keyboard):
            raise IncompatibleSampleError(
                f"{len(keyboard)} key and {len(mouse)} mouse actions for {len(video)} frames: one of each per frame"
            )
        count = min(len(video), len(keyboard))
        calibration = Calibration.read(sample["calibration"])
        if self.protocol == "v2":
            calibration.check()
        sign = float(sample.get("mouse_pitch_sign", 1.0))
        size, rescale = (int(video.shape[2]), int(video.shape[3])), self.protocol == "v2"
        observed = self.flow(video)
        expected = (
            # One field at a time, each from two rows of actions.
            synthetic_flow(keyboard[i : i + 2], mouse[i : i + 2], calibration, size, pitch_sign=sign, rescale=rescale)
            for i in range(count - 1)
        )
        result = self._score((flow[0], observed.field(i)) for i, flow in enumerate(expected))
        focal = calibration.focal(size[1], rescale=rescale)
        return replace(result, details={**result.details, "focal_length": focal})
