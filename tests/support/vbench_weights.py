"""Stand-in weights for the VBench dimensions, as files in the published layouts."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import torch
import transformers.modeling_utils  # noqa: F401 - registers operators, once in a process: inner runs forget imports

from tests.support import grit_weights, tag2text_weights
from tests.support.kept_files import kept
from tests.support.oracle_fill import fill_state_dict

_DATA = Path(__file__).parents[1] / "data" / "vbench"
_VISION = ("vision_model.", "visual_projection.")
_LAYER = re.compile(r"(?:^|\.)(?:blocks|layer|layers|resblocks)\.(\d+)\.")
# Convolution stacks with random weights move pixels by hundreds; real ones by a few.
_DAMPED = ("module.update_block.flow_head.conv2.",)

PROMPT = "a person is riding a bike"
BESIDE = {"object_a": "car", "object_b": "bird", "relationship": "on the left of"}
SAMPLE = {
    "text_prompt": PROMPT,
    "auxiliary_info": {
        "appearance_style": "cyberpunk",
        "scene": "alley",
        "object_class": {"object": "car"},
        "multiple_objects": {"object": "car and bird"},
        "color": "white",
        "spatial_relationship": BESIDE,
    },
}
"""What the dimensions need beside the clip; the prompt names no object that could have a colour."""


def _filled(name: str, layers: int | None, prefixes: tuple[str, ...] = ("",)) -> dict[str, torch.Tensor]:
    with gzip.open(_DATA / f"{name}.keys.json.gz", "rt") as stream:
        listed = {key: value for key, value in json.load(stream).items() if key.startswith(prefixes)}
    shapes = {
        key: value
        for key, value in listed.items()
        if layers is None or not (number := _LAYER.search(key)) or int(number[1]) < layers
    }
    state = fill_state_dict({key: tuple(shape) for key, (shape, kind) in shapes.items() if kind == "float32"})
    counters = {key: torch.tensor(0) for key, (_, kind) in shapes.items() if kind != "float32"}
    return {key: value * 0.02 if key.startswith(_DAMPED) else value for key, value in state.items()} | counters


def shallow_weights() -> dict[str, str]:
    """Return the variables of the shallow files, written once for all tests of a run."""
    return kept("vbench", lambda folder: write_weights(folder, full=False))


def write_weights(folder: Path, *, full: bool) -> dict[str, str]:
    """Write every file and return the environment variables that name them.

    Transformers have all their layers with ``full`` (8 GB in all), else one; GRiT and Tag2Text are then small
    networks of their own, and the others are always whole.
    """
    depth, layers = ("", None) if full else ("_shallow", 1)
    states = {
        "VIDMETRICS_DINO_B16": _filled(f"subject_consistency{depth}", layers),
        "VIDMETRICS_CLIP_B32": _filled(f"appearance_style{depth}", layers),
        "VIDMETRICS_CLIP_L14": _filled(f"aesthetic_quality{depth}", layers, _VISION),
        "VIDMETRICS_LAION_AESTHETIC": fill_state_dict({"weight": (1, 768), "bias": (1,)}),
        "VIDMETRICS_MUSIQ_SPAQ": _filled("imaging_quality", None),
        "VIDMETRICS_AMT_S": _filled("motion_smoothness", None),
        "VIDMETRICS_RAFT_THINGS": _filled("dynamic_degree", None),
        "VIDMETRICS_UMT": _filled(f"human_action{depth}", layers),
        "VIDMETRICS_VICLIP": _filled(f"overall_consistency{depth}", layers),
    }
    found: dict[str, str] = {}
    for variable, state in states.items():
        path = folder / f"{variable.lower()}.bin"
        torch.save(state, path)
        found[variable] = str(path)
    merges = folder / "merges.txt"
    ranks = json.loads((_DATA / "viclip_tokenizer.json").read_text())["expected"]["merge_ranks_touched"]
    merges.write_text("\n".join(["#version: 0.2", *sorted(ranks, key=lambda pair: ranks[pair]), ""]), "utf-8")
    tag2text = tag2text_weights.full_state() if full else tag2text_weights.narrow_state()
    grit = (
        grit_weights.write_weights(folder / "grit", grit_weights.full_state())
        if full
        else kept("grit", grit_weights.write_weights)
    )
    return {
        **found,
        **tag2text_weights.write_weights(folder / "tag2text", tag2text),
        **grit,
        "VIDMETRICS_CLIP_MERGES": str(merges),
    }
