"""Networks at full depth on the fake device: the published layouts without a byte of weights."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from pytest_vidmetrics.media import antialias, resize
from pytest_vidmetrics.networks import i3d, shared, state_dicts
from tests.support.wordpiece import write_vocabulary

_DATA = Path(__file__).parents[1] / "data"
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
}
"""The recorded names and shapes of each published file, by the variable that names the file."""


def shapes(layout: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and type of every tensor of a recorded layout."""
    path = _DATA / (f"{layout}.json.gz" if layout.endswith("keys") else f"{layout}.keys.json.gz")
    with gzip.open(path, "rt") as stream:
        found: dict[str, Any] = json.load(stream)
    return {key: (tuple(shape), kind) for key, (shape, kind) in found.items()}


def files(folder: Path) -> dict[str, str]:
    """Write a file of a few bytes for every published one; return the variables that name them."""
    variables = {}
    for variable in LAYOUTS:
        path = folder / f"{variable.lower()}.bin"
        path.write_text(variable)
        variables[variable] = str(path)
    (folder / "laion.bin").write_text("VIDMETRICS_LAION_AESTHETIC")
    merges = folder / "merges.txt"
    ranks = json.loads((_DATA / "vbench" / "viclip_tokenizer.json").read_text())["expected"]["merge_ranks_touched"]
    merges.write_text("\n".join(["#version: 0.2", *sorted(ranks, key=lambda pair: ranks[pair]), ""]), "utf-8")
    return {
        **variables,
        "VIDMETRICS_LAION_AESTHETIC": str(folder / "laion.bin"),
        "VIDMETRICS_CLIP_MERGES": str(merges),
        "VIDMETRICS_BERT_VOCABULARY": str(write_vocabulary(folder / "vocab.txt")),
    }


def _read_state(path: Path, container: str | None = None, prefixes: Any = ("",), **_: Any) -> dict[str, torch.Tensor]:
    variable = Path(path).read_text()
    if variable == "VIDMETRICS_LAION_AESTHETIC":
        listed: Mapping[str, Any] = {"weight": ((1, 768), "float32"), "bias": ((1,), "float32")}
    else:
        listed = shapes(LAYOUTS[variable])
    wanted = tuple(prefixes or ("",))
    return {
        key: torch.empty(shape, dtype=getattr(torch, kind))
        for key, (shape, kind) in listed.items()
        if key.startswith(wanted)
    }


def _pretrained(cls: Any, config: Any, state: Mapping[str, torch.Tensor], **options: Any) -> Any:
    del state
    with torch.device("meta"):
        return state_dicts.frozen(cls(config, **options))


@contextlib.contextmanager
def full_depth() -> Iterator[None]:
    """Read networks at full depth without weights; those that are loaded are forgotten before and after."""
    shared.clear()
    with (
        mock.patch.object(state_dicts, "read_state", _read_state),
        mock.patch.object(i3d, "read_state", _read_state),
        mock.patch.object(state_dicts, "pretrained", _pretrained),
    ):
        try:
            yield
        finally:
            shared.clear()
            for kept in (resize._bilinear_taps, antialias.weights):
                kept.cache_clear()
