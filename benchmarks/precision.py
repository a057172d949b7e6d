"""How far TF32 moves the scores of networks: simulated on a processor, by rounding what products multiply.

    python -m benchmarks.precision [--only WORD]

TF32 keeps 10 bits of the fraction of both factors of a convolution or matrix product and adds up in float32. Stand-in
weights (shallow for sound) give small distances: the change is also given for a score of a usual size, in proportion.
Above the metric's noise floor TF32 is another metric, and part of its identity (``tf32_change``).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from tests.support import audio_weights, published_files
from tests.support.oracle_fill import clip_uint8, tone

_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn_convolution", "_scaled_dot_product_flash")
USUAL = {
    "common.lpips": 0.3,
    "common.fvd": 100.0,
    "common.kvd": 0.1,
    "audio.kl_divergence": 1.0,
    "audio.clap_score": 0.3,
    "audio.audiobox_aesthetics": 6.0,
    "audio.imagebind_score": 0.3,
}
"""A score as real clips have it."""
_HALF, _KEPT = 1 << 12, ~((1 << 13) - 1)


def rounded(value: Any) -> Any:
    """Return a float32 tensor with 10 bits of its fraction, rounded to the nearest."""
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return value
    return ((value.contiguous().view(torch.int32) + _HALF) & _KEPT).view(torch.float32)


class Tf32(TorchDispatchMode):
    """Rounds the factors of every product."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name.startswith(_PRODUCTS):
            places = (1, 2) if name in ("addmm", "baddbmm") else (0, 1, 2) if "dot_product" in name else (0, 1)
            args = tuple(rounded(one) if place in places else one for place, one in enumerate(args))
        return func(*args, **(kwargs or {}))


def clips(count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a clip, and another with noise of up to 8 levels."""
    clean = clip_uint8(count, size, size, 0)
    noise = np.random.default_rng(0).integers(-8, 9, clean.shape)
    other = np.clip(clean + noise, 0, 255).astype(np.uint8)
    first, second = (torch.from_numpy(one).permute(0, 3, 1, 2) for one in (clean, other))
    return first, second


def cases(folder: Path, only: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield metrics whose name and network hold a word, their options, and what asks one for a score."""
    for net in ("alex", "vgg", "squeeze"):
        if only not in f"common.lpips {net}":
            continue
        for kind, write in (("TRUNK", published_files.lpips_trunk), ("HEADS", published_files.lpips_heads)):
            path = folder / f"{net}.{kind}"
            write(net)(path)
            os.environ[f"VIDMETRICS_LPIPS_{kind}_{net.upper()}"] = str(path)
        video, reference = clips(2, 128)
        sample = {"video": video, "reference": reference}
        yield "common.lpips", {"net": net}, lambda metric, sample=sample: metric.compute(sample).score
    if any(only in name for name in ("common.fvd", "common.kvd")):
        yield from _sets(folder, only)
    sound = ("audio.kl_divergence", "audio.clap_score", "audio.audiobox_aesthetics", "audio.imagebind_score")
    if not (wanted := [name for name in sound if only in name]):
        return
    os.environ.update(audio_weights.write_weights(folder))
    picture = torch.from_numpy(clip_uint8(150, 64, 96, 1)).permute(0, 3, 1, 2)
    heard = {"audio": (tone(6.0, 32000, 1), 32000), "reference_audio": (tone(6.0, 32000, 2), 32000)}
    sample = {**heard, "video": picture, "fps": 25.0, "text_prompt": "a dog barks", "audio_text_prompt": "a dog barks"}
    for name in wanted:
        yield name, {}, lambda metric, sample=sample: metric.compute(sample).score


def _sets(folder: Path, only: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    os.environ["VIDMETRICS_I3D"] = str(folder / "i3d.pt")
    published_files.i3d_archive(folder / "i3d.pt")
    sets = [[clip_uint8(16, 112, 112, seed) for seed in seeds] for seeds in ((0, 1, 2), (3, 4, 5))]
    for name in ("common.fvd", "common.kvd"):
        if only in name:
            yield name, {"cache_mode": "off"}, lambda metric, sets=sets: _against(metric, sets)


def _against(metric: Any, sets: list[list[np.ndarray]]) -> float:
    from pytest_vidmetrics.metrics.sets.features import FeatureSet

    made = [
        FeatureSet.join({str(number): metric.features({"video": _frames(clip)}) for number, clip in enumerate(one)})
        for one in sets
    ]
    return float(metric.bare(*made))


def _frames(clip: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(clip).permute(0, 3, 1, 2)


def _no_grad(mode: bool = True) -> torch.no_grad:
    del mode
    return torch.no_grad()


@dataclass(frozen=True)
class Moved:
    """What TF32 did to one metric's score."""

    metric: BaseMetric
    label: str
    exact: float
    change: float

    @property
    def usual(self) -> float:
        """How far it would move a score of a usual size."""
        return max(abs(self.change), abs(self.change / self.exact) * USUAL[self.metric.name])


def measured(only: str = "") -> Iterator[Moved]:
    """Yield what TF32 does to the metrics whose label holds a word."""
    # In inference mode a dispatch mode sees whole layers, not the products inside.
    plain = mock.patch.object(torch, "inference_mode", _no_grad)
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ), torch.no_grad(), plain:
        for metric_name, chosen, score in cases(Path(name), only):
            metric = get_metric(metric_name, **chosen)
            metric.setup()
            exact = score(metric)
            with Tf32():
                changed = score(metric)
            shared.clear()
            yield Moved(metric, f"{metric_name} {chosen.get('net', '')}".strip(), exact, changed - exact)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="metrics whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<36} {'fp32':>14} {'change':>10} {'of a usual':>10} {'floor':>8}  in the identity")
    for one in measured(options.only):
        row = (
            f"{one.label:<36} {one.exact:>14.6g} {one.change:>10.1e} {one.usual:>10.1e} {one.metric.noise_floor:>8.0e}"
        )
        print(f"{row}  {'yes' if one.metric.is_moved_by_tf32() else 'no'}", flush=True)


if __name__ == "__main__":
    main()
