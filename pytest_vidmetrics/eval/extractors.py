"""``fastvideo.eval.metrics.common.fvd.extractors``: feature extractors of FVD on batches of clips."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

Extract = Callable[["torch.Tensor"], "np.ndarray"]


def load_extractor(name: str, device: torch.device | str = "cpu") -> Extract:
    """Return the extractor ``"i3d"``, ``"clip"``, ``"videomae"`` or ``"motion_energy"`` on ``device``.

    It turns ``(B, T, C, H, W)`` floating point in [0, 1], or uint8, into ``(B, D)`` float64 rows. Raises ``ValueError``
    for another name and :class:`~pytest_vidmetrics.core.errors.UnavailableError` where the weights are missing.
    """
    from pytest_vidmetrics.metrics.common.fvd import FVD

    metric = FVD(extractor=name)
    metric.to(device).setup()

    def extract(clips: torch.Tensor) -> np.ndarray:
        import numpy as np

        from pytest_vidmetrics.metrics.sets.features import FeatureSet

        if clips.ndim != 5:
            raise ValueError(f"the clips have the shape {tuple(clips.shape)}: expected (B, T, C, H, W)")
        rows = {f"{i:08d}": metric.features({"video": clip}) for i, clip in enumerate(clips)}
        compared: np.ndarray = np.asarray(metric.compared(FeatureSet.join(rows)))
        return compared

    return extract
