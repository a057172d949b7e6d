"""Networks on the fake device: the published layouts without a byte of weights."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from pytest_vidmetrics.media import antialias, resize
from pytest_vidmetrics.networks import i3d, shared
from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.lpips import VARIANTS
from tests.support.clap import write_tokenizer
from tests.support.grit_weights import is_shallow
from tests.support.tag2text_weights import has_two_layers, tag_names
from tests.support.wordpiece import write_vocabulary

_DATA = Path(__file__).parents[1] / "data"
NETS, PARTS = ("alex", "vgg", "squeeze"), ("TRUNK", "HEADS")
LAYOUTS = {
    "VIDMETRICS_DINO_B16": "vbench/subject_consistency",
    "VIDMETRICS_CLIP_B32": "vbench/appearance_style",
    "VIDMETRICS_CLIP_L14": "vbench/aesthetic_quality",
    "VIDMETRICS_MUSIQ_SPAQ": "vbench/imaging_quality",
    "VIDMETRICS_AMT_S": "vbench/motion_smoothness",
    "VIDMETRICS_RAFT_THINGS": "vbench/dynamic_degree",
    "VIDMETRICS_UMT": "vbench/human_action",
    "VIDMETRICS_VICLIP": "vbench/overall_consistency",
    "VIDMETRICS_GRIT": "grit/keys",
    "VIDMETRICS_TAG2TEXT": "vbench/tag2text",
    "VIDMETRICS_I3D": "fvd/i3d",
    "VIDMETRICS_VIDEOMAE": "fvd/videomae_base",
    "VIDMETRICS_PASST": "audio/passt",
    "VIDMETRICS_SYNCHFORMER": "audio/desync",
    "VIDMETRICS_IMAGEBIND": "audio/imagebind_score",
    "VIDMETRICS_CLAP_FUSED": "audio/clap_score",
    "VIDMETRICS_AUDIOBOX": "audio/audiobox_aesthetics",
    **{f"VIDMETRICS_LPIPS_{part}_{net.upper()}": f"common/lpips_{net}" for part in PARTS for net in NETS},
}
"""The recorded names and shapes of each published file, by the variable that names the file."""


_WITHOUT_A_RECORDED_ONE = {"grit/keys": is_shallow, "vbench/tag2text": has_two_layers}
"""Which tensors of a layout a shallow network has where none was recorded."""


def shapes(layout: str, *, shallow: bool) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and type of every tensor of a recorded layout, ``shallow`` where a shallow one was recorded."""
    names = [layout if layout.endswith("keys") else f"{layout}.keys"]
    if shallow:
        names = [f"{layout}_shallow.keys", f"{layout}-shallow.keys", *names]
    path = next(path for name in names if (path := _DATA / f"{name}.json.gz").exists())
    with gzip.open(path, "rt") as stream:
        found: dict[str, Any] = json.load(stream)
    kept = _WITHOUT_A_RECORDED_ONE.get(layout) if shallow else None
    return {key: (tuple(shape), kind) for key, (shape, kind) in found.items() if kept is None or kept(key)}


def files(folder: Path) -> dict[str, str]:
    """Write a file of a few bytes for every published one; return the variables that name them."""
    variables = {}
    for variable in LAYOUTS:
        path = folder / ("model.safetensors" if variable == "VIDMETRICS_AUDIOBOX" else f"{variable.lower()}.bin")
        path.write_text(variable)
        variables[variable] = str(path)
    (folder / "laion.bin").write_text("VIDMETRICS_LAION_AESTHETIC")
    config = json.loads((_DATA / "audio" / "audiobox_aesthetics.json").read_text())["checkpoint"]["config"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tags.txt").write_text("\n".join(tag_names()), "utf-8")
    merges = folder / "merges.txt"
    ranks = json.loads((_DATA / "vbench" / "viclip_tokenizer.json").read_text())["expected"]["merge_ranks_touched"]
    merges.write_text("\n".join(["#version: 0.2", *sorted(ranks, key=lambda pair: ranks[pair]), ""]), "utf-8")
    return {
        **variables,
        "VIDMETRICS_LAION_AESTHETIC": str(folder / "laion.bin"),
        "VIDMETRICS_TAG2TEXT_TAGS": str(folder / "tags.txt"),
        "VIDMETRICS_CLAP_TOKENIZER": str(write_tokenizer(folder)),
        "VIDMETRICS_CLIP_MERGES": str(merges),
        "VIDMETRICS_BERT_VOCABULARY": str(write_vocabulary(folder / "vocab.txt")),
    }


def _read_state(shallow: bool, path: Path, container: str | None = None, prefixes: Any = ("",)) -> hf.State:
    del container
    variable = Path(path).read_text()
    if variable == "VIDMETRICS_LAION_AESTHETIC":
        listed: Mapping[str, Any] = {"weight": ((1, 768), "float32"), "bias": ((1,), "float32")}
    else:
        listed = shapes(LAYOUTS[variable], shallow=shallow)
    if variable.startswith("VIDMETRICS_LPIPS_HEADS"):
        channels = VARIANTS[variable.rsplit("_", 1)[1].lower()].channels
        listed = {f"lin{i}.model.1.weight": ((1, count, 1, 1), "float32") for i, count in enumerate(channels)}
    wanted = tuple(prefixes or ("",))
    return {
        key: torch.empty(shape, dtype=getattr(torch, kind))
        for key, (shape, kind) in listed.items()
        if key.startswith(wanted)
    }


def _pretrained(cls: Any, config: Any, state: Mapping[str, torch.Tensor], **options: Any) -> Any:
    del state
    with torch.device("meta"):
        return hf.frozen(cls(config, **options))


@contextlib.contextmanager
def without_weights(*, shallow: bool = False) -> Iterator[None]:
    """Read networks without weights, at full depth or shallow; those that are loaded are forgotten before and after."""
    shared.clear()
    read = functools.partial(_read_state, shallow)
    with (
        mock.patch.object(hf, "read_state", read),
        mock.patch.object(i3d, "read_state", read),
        mock.patch.object(hf, "pretrained", _pretrained),
    ):
        try:
            yield
        finally:
            shared.clear()
            for kept in (resize._bilinear_taps, antialias.weights):
                kept.cache_clear()
