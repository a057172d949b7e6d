"""Stand-ins for the published files of all audio metrics, and sounds and clips in files."""

from __future__ import annotations

import functools
import gzip
import json
import wave
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from tests.support.asr import write_whisper
from tests.support.clap import filled, small, write_tokenizer
from tests.support.kept_files import kept
from tests.support.oracle_fill import fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "audio"
METRICS = (
    "clap_score",
    "audiobox_aesthetics",
    "kl_divergence",
    "frechet_distance",
    "kad",
    "wer",
    "desync",
    "imagebind_score",
)
_TOWERS = tuple(
    f"modality_{part}.{kind}."
    for part in ("preprocessors", "trunks", "heads", "postprocessors")
    for kind in ("vision", "audio")
)


def write_weights(folder: Path, *, full: bool = False, only: Iterable[str] = METRICS) -> dict[str, str]:
    """Write filled weights in the published layouts, shallow or of full size; return the variables that name them.

    ``only`` names metrics without their family.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variables: dict[str, str] = {}
    for name in only:
        variables |= _WRITERS.get(name, _passt)(folder, full)
    return variables


def shallow_weights(*metrics: str) -> dict[str, str]:
    """Return the variables of the shallow files of some metrics, each written once for all tests of a run."""
    variables: dict[str, str] = {}
    for name in metrics:
        part = name if name in _WRITERS else "passt"
        variables |= kept(part, functools.partial(write_weights, only=[name]))
    return variables


def _passt(folder: Path, full: bool) -> dict[str, str]:
    return _saved("VIDMETRICS_PASST", folder / "passt.pt", lambda: _state("passt" if full else "passt_shallow"))


def _desync(folder: Path, full: bool) -> dict[str, str]:
    name = "desync" if full else "desync_shallow"
    return _saved("VIDMETRICS_SYNCHFORMER", folder / "synchformer.pth", lambda: _state(name))


def _clap(folder: Path, full: bool) -> dict[str, str]:
    words = {"VIDMETRICS_CLAP_TOKENIZER": str(write_tokenizer(folder))}
    state = (lambda: filled("clap_score")) if full else small
    return {**_saved("VIDMETRICS_CLAP_FUSED", folder / "clap.bin", state), **words}


def _audiobox(folder: Path, full: bool) -> dict[str, str]:
    from safetensors.torch import save_file

    name = "audiobox_aesthetics" if full else "audiobox_aesthetics-shallow"
    save_file(_state(name), folder / "model.safetensors")
    config = json.loads((DATA / f"{name}.json").read_text())["checkpoint"]["config"]
    (folder / "config.json").write_text(json.dumps(config))
    return {"VIDMETRICS_AUDIOBOX": str(folder / "model.safetensors")}


def _imagebind(folder: Path, full: bool) -> dict[str, str]:
    name = "imagebind_score" if full else "imagebind_score-shallow"
    return _saved("VIDMETRICS_IMAGEBIND", folder / "imagebind.pth", lambda: _state(name, _TOWERS))


def _wer(folder: Path, full: bool) -> dict[str, str]:
    del full  # one layer either way: what it says of filled weights is as long as it may be
    return {"VIDMETRICS_WHISPER": str(write_whisper(folder / "whisper"))}


_WRITERS = {
    "clap_score": _clap,
    "audiobox_aesthetics": _audiobox,
    "desync": _desync,
    "imagebind_score": _imagebind,
    "wer": _wer,
}


def _saved(variable: str, path: Path, state: Callable[[], dict[str, torch.Tensor]]) -> dict[str, str]:
    if not path.exists():
        torch.save(state(), path)
    return {variable: str(path)}


def _state(name: str, prefixes: tuple[str, ...] = ("",)) -> dict[str, torch.Tensor]:
    shapes = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    return fill_state_dict({key: tuple(shape) for key, (shape, _) in shapes.items() if key.startswith(prefixes)})


def write_wav(path: Path, samples: np.ndarray, rate: int) -> str:
    """Write ``(N,)`` or ``(C, N)`` samples as 16-bit PCM."""
    rows = np.atleast_2d(samples)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(rows))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(rows.T, -1, 1) * 32767).astype("<i2").tobytes())
    return str(path)


def write_clip(
    path: Path, frames: np.ndarray, sound: np.ndarray | None, *, fps: int = 25, rate: int = 48000, late: float = 0.0
) -> str:
    """Write ``(T, H, W, 3)`` frames with ``(N,)`` or ``(C, N)`` sound that starts ``late`` seconds after them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.codec_context.thread_count = 1
        if sound is not None:
            rows = np.ascontiguousarray(np.atleast_2d(sound), dtype=np.float32)
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(rows)]
            track = container.add_stream("aac", rate=rate, layout=layout)
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if sound is not None:
            block = av.AudioFrame.from_ndarray(rows, format="fltp", layout=layout)
            block.sample_rate, block.pts, block.time_base = rate, round(late * rate), Fraction(1, rate)
            container.mux(track.encode(block))
            container.mux(track.encode(None))
    return str(path)
