"""How far TF32 moves the scores of networks: simulated on a processor, by rounding what products multiply.

    python -m benchmarks.precision [--only WORD]

TF32 keeps 10 bits of the fraction of both factors of a convolution or matrix product and adds up in float32. Stand-in
weights (shallow for sound), two clips or sounds a metric. The change is compared with the metric's noise floor: above
it, a baseline of one precision says little about a score of the other.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from tests.support import audio_weights, published_files
from tests.support.oracle_fill import clip_uint8, tone

_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn_convolution", "_scaled_dot_product_flash")
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


def cases(folder: Path) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield metrics, their options, and what asks one for a score."""
    for net in ("alex", "vgg", "squeeze"):
        for kind, write in (("TRUNK", published_files.lpips_trunk), ("HEADS", published_files.lpips_heads)):
            path = folder / f"{net}.{kind}"
            write(net)(path)
            os.environ[f"VIDMETRICS_LPIPS_{kind}_{net.upper()}"] = str(path)
        video, reference = clips(2, 128)
        sample = {"video": video, "reference": reference}
        yield "common.lpips", {"net": net}, lambda metric, sample=sample: metric.compute(sample).score
    os.environ["VIDMETRICS_I3D"] = str(folder / "i3d.pt")
    published_files.i3d_archive(folder / "i3d.pt")
    sets = [[clip_uint8(16, 112, 112, seed) for seed in seeds] for seeds in ((0, 1, 2), (3, 4, 5))]
    for name in ("common.fvd", "common.kvd"):
        yield name, {"cache_mode": "off"}, lambda metric, sets=sets: _against(metric, sets)
    os.environ.update(audio_weights.write_weights(folder))
    picture = torch.from_numpy(clip_uint8(150, 64, 96, 1)).permute(0, 3, 1, 2)
    heard = {"audio": (tone(6.0, 32000, 1), 32000), "reference_audio": (tone(6.0, 32000, 2), 32000)}
    sample = {**heard, "video": picture, "fps": 25.0, "text_prompt": "a dog barks", "audio_text_prompt": "a dog barks"}
    for name in ("audio.kl_divergence", "audio.clap_score", "audio.audiobox_aesthetics", "audio.imagebind_score"):
        yield name, {}, lambda metric, sample=sample: metric.compute(sample).score


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="metrics whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<36} {'fp32':>14} {'change':>10} {'floor':>8}")
    # In inference mode a dispatch mode sees whole layers, not the products inside.
    plain = mock.patch.object(torch, "inference_mode", _no_grad)
    with tempfile.TemporaryDirectory() as name, torch.no_grad(), plain:
        for metric_name, chosen, score in cases(Path(name)):
            if options.only not in metric_name:
                continue
            metric = get_metric(metric_name, **chosen)
            metric.setup()
            exact = score(metric)
            with Tf32():
                changed = score(metric)
            label = f"{metric_name} {chosen.get('net', '')}"
            print(f"{label:<36} {exact:>14.6g} {changed - exact:>10.1e} {metric.noise_floor:>8.0e}", flush=True)
            shared.clear()


if __name__ == "__main__":
    main()
