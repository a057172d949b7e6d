"""The scripts of the image-to-video example: what they ask of each generator, and clips that are the same each time."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.slurm import SRUN

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


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """Return a copy of the example with the programs that its scripts call."""
    shutil.copytree(FOLDER, tmp_path / "i2v", ignore=shutil.ignore_patterns("__pycache__", "results", "reference"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "bin").mkdir()
    programs = {
        "python": f'exec {sys.executable} "$@"',
        "pytest": f'exec {sys.executable} -m pytest -p no:randomly "$@"',
        "vidmetrics": f'exec {sys.executable} -m pytest_vidmetrics.cli "$@"',
    }
    for name, text in programs.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return tmp_path / "i2v"


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "VIDMETRICS_", "CI"))}
    path = f"{folder.parent / 'bin'}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", "VIDMETRICS_CACHE": str(folder.parent / "cache"), **more}


def shell(folder: Path, *command: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", *command], cwd=folder, env=environment(folder, **more), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def reduce(folder: Path, metrics: str) -> None:
    """Leave one seed, and the metrics that are named."""
    path = folder / "i2v.vidmetrics.toml"
    text = path.read_text().replace("seeds = [0, 1, 2]", "seeds = [0]").replace("shard = 18", "shard = 6")
    path.write_text(re.sub(r"(?m)^metrics = .*$", f"metrics = {metrics}", text).replace("min_n = 36", "min_n = 12"))


def ranking(folder: Path) -> dict[str, list[tuple[str, int]]]:
    tree = json.loads((folder / "results" / "ranking.json").read_text())
    (case,) = tree["cases"].values()
    assert case["not_ranked"] == {}
    return {gate: [(one["method"], one["rank"]) for one in found["methods"]] for gate, found in case["gates"].items()}


@pytest.mark.slow
def test_the_whole_example_runs_offline(benchmark: Path) -> None:
    status, text = shell(benchmark, "run.sh", "--update-baselines")
    assert status == 0, text
    found = ranking(benchmark)
    assert found["common.psnr"] == [("sharp", 1), ("smeared", 2)]
    assert found["common.ssim"] == [("sharp", 1), ("smeared", 2)]
    assert {rank for _, rank in found["kvd_motion"]} == {1}
    (summary,) = (benchmark / "results").glob("benchmark_summary_*.json")
    one = json.loads(summary.read_text())["methods"]["sharp"]
    assert one["num_videos"] == 36
    assert json.loads(Path(one["output_file"]).read_text())["generated_features_shape"] == [36, 37]
    status, text = shell(benchmark, "run.sh")
    assert status == 0, text
    assert "work: 0 decoded, 0 computed" in text
    assert "generated by" not in text


@pytest.mark.slow
def test_jobs_of_a_cluster_generate_each_clip_once_and_judge(benchmark: Path) -> None:
    reduce(benchmark, '["common.psnr"]')
    srun = benchmark.parent / "bin" / "srun"
    srun.write_text(SRUN)
    srun.chmod(0o755)
    job = {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_SUBMIT_DIR": str(benchmark)}

    def submit(name: str, *args: str, **more: str) -> tuple[int, str]:
        return shell(benchmark, f"slurm/{name}.sbatch", *args, **job, **more)

    subprocess.run([sys.executable, "make_references.py"], check=True, cwd=benchmark)
    status, text = submit("frames", "manifest.jsonl", "--rename", "video_id=id", "--rename", "path=video")
    assert status == 0, text
    manifest = "i2v.vidmetrics.toml"
    assert submit("generate", "sharp", manifest)[0] == 0
    status, text = submit("generate", "smeared", manifest, LOST_TASK="1")
    assert status != 0
    submit("score", manifest)
    status, text = submit("judge", manifest)
    assert status == 1
    assert "samples have no score" in text  # the clips of the task that was lost
    assert "the methods are not ranked: smeared: " in text
    status, text = submit("generate", "smeared", manifest)
    assert status == 0, text
    status, text = submit("score", manifest)
    assert status == 0, text
    status, text = submit("judge", manifest, "--update-baselines")
    assert status == 0, text
    assert "0 decoded, 0 computed" in text
    rows = [json.loads(path.read_text()) for path in (benchmark / ".vidmetrics" / "generated").glob("??/*.json")]
    assert len(rows) == 24
    assert ranking(benchmark)["common.psnr"] == [("sharp", 1), ("smeared", 2)]
