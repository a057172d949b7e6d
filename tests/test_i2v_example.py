"""The scripts of the image-to-video example: what they ask of each generator, and clips that are the same each time."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "i2v"
ROW: dict[str, Any] = {
    "id": "x",
    "prompt": "clouds; that $(drift) 'left'",
    "image": "/data/x.png",
    "seed": 7,
    "params": {},
    "output": "/out/k.mp4",
}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"i2v_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_wan_is_called_with_the_settings_of_the_guide() -> None:
    found = script("generate_wan").arguments(ROW, "/wan", "/weights")
    options = dict(zip(found[2::2], found[3::2], strict=True))
    assert found[1] == "/wan/generate.py"
    assert options == {
        "--task": "i2v-14B",
        "--size": "832*480",
        "--frame_num": "81",
        "--ckpt_dir": "/weights",
        "--image": "/data/x.png",
        "--prompt": ROW["prompt"],
        "--base_seed": "7",
        "--sample_steps": "20",
        "--sample_guide_scale": "5.0",
        "--sample_shift": "3.0",
        "--save_file": "/out/k.mp4",
    }


@pytest.mark.parametrize(("change", "text"), [({"params": {"frames": 80}}, "4n"), ({"image": None}, "starting frame")])
def test_what_wan_cannot_make_is_said_before_it_starts(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        script("generate_wan").arguments({**ROW, **change}, "/wan", "/weights")


@pytest.mark.parametrize(("pipeline", "guidance", "rate"), [("wan", 5.0, 16), ("framepack", 9.0, 30)])
def test_pipelines_of_diffusers_get_the_settings_of_the_guide(pipeline: str, guidance: float, rate: int) -> None:
    module = script("generate_diffusers")
    found = module.arguments(pipeline, {**ROW, "params": {"steps": 4}})
    assert (found["num_frames"], found["height"], found["width"]) == (81, 480, 832)
    assert (found["num_inference_steps"], found["guidance_scale"]) == (4, guidance)
    assert module.DEFAULTS[pipeline]["fps"] == rate
    assert ("sampling_type" in found) == (pipeline == "framepack")


def test_fastvideo_gets_the_settings_of_the_guide() -> None:
    found = script("generate_fastvideo").sampling(ROW)
    assert (found["seed"], found["image_path"], found["num_inference_steps"]) == (7, "/data/x.png", 20)
    assert (found["num_frames"], found["height"], found["width"], found["fps"]) == (81, 480, 832, 16)


@pytest.mark.parametrize("name", ["generate_wan", "generate_diffusers", "generate_fastvideo"])
def test_no_library_of_a_generator_is_imported_before_it_is_needed(name: str) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "--requests" in done.stdout


def test_the_toy_generator_makes_the_same_clips_each_time(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 48), (90, 140, 60)).save(tmp_path / "first.png")
    found = []
    for turn in ("one", "two"):
        out = tmp_path / turn
        out.mkdir()
        row = {**ROW, "image": str(tmp_path / "first.png"), "output": str(out / "k.mp4")}
        row["params"] = {"frames": 5, "width": 64, "height": 48, "fps": 8}
        (out / "requests.jsonl").write_text(json.dumps(row) + "\n")
        command = [sys.executable, FOLDER / "toy_generator.py", "--requests", out / "requests.jsonl", "--out", out]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        found.append((out / "k.mp4").read_bytes())
    assert found[0] == found[1]
