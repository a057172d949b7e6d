"""The examples for Ray are what the tools they call accept."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from pytest_vidmetrics.cli import build_parser

FOLDER = Path(__file__).parents[1] / "examples" / "ray"


def commands(text: str) -> list[list[str]]:
    """Return the words behind ``vidmetrics`` of every call, variables filled in."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"^(?:RAY_ADDRESS=\S+ |.*-- )?\s*vidmetrics (score .*)$", joined, re.MULTILINE)
    return [shlex.split(re.sub(r"\$\{?(\w+)\}?", r"\1", one)) for one in found]


@pytest.mark.parametrize("name", ["score.sbatch", "submit.sh"])
def test_scripts_parse_and_call_the_command_as_it_is(name: str) -> None:
    subprocess.run(["bash", "-n", str(FOLDER / name)], check=True)
    calls = commands(FOLDER.joinpath(name).read_text())
    assert len(calls) == 1
    args = build_parser().parse_args(calls[0])
    assert (args.engine, args.gpus_per_worker, bool(args.store)) == ("ray", 1.0, True)


def test_the_ray_job_has_one_entry_point_that_the_command_accepts() -> None:
    job = yaml.safe_load(FOLDER.joinpath("rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[0] == "vidmetrics"
    assert build_parser().parse_args(words[1:]).engine == "ray"
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for spec in (job["spec"]["rayClusterSpec"]["headGroupSpec"], group):
        assert spec["template"]["spec"]["containers"][0]["resources"]["limits"]


def test_scripts_stop_without_what_they_need() -> None:
    for name in ("score.sbatch", "submit.sh"):
        done = subprocess.run(
            ["bash", str(FOLDER / name)], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
        )
        assert done.returncode != 0
        assert re.search(r"(ROWS|RAY_API_SERVER_ADDRESS): ", done.stderr)
