"""The sbatch example: tasks score, one process judges, and a task that did not run is red. With a stand-in for srun.

Where SLURM is installed, ``-m slow`` runs the same on a cluster of two nodes that ``start_cluster.sh`` starts.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin.conftest import PLAIN
from tests.support.slurm import SRUN

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "slurm"
SELECTION = "--vidmetrics=common.psnr"
PYTEST = f"""#!/bin/bash
exec {sys.executable} -m pytest {" ".join(PLAIN)} "$@"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the examples and baselines, and the two programs that the job calls."""
    ignored = shutil.ignore_patterns("degraded", "__pycache__")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignored)
    shutil.copytree(ROOT / "baselines", tmp_path / "baselines")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "bin").mkdir()
    for name, text in (("srun", SRUN), ("pytest", PYTEST)):
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "VIDMETRICS_", "CI"))}
    return {**kept, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", **more}


def test_tasks_score_and_one_process_judges(folder: Path) -> None:
    script = ["bash", "examples/slurm/vidmetrics.sbatch", "examples/quickstart", SELECTION]
    job = {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_SUBMIT_DIR": str(folder)}  # as the batch script has them

    def submit(**more: str) -> tuple[int, str]:
        done = subprocess.run(
            script, cwd=folder, env=environment(folder, **job, **more), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    status, text = submit(LOST_TASK="1")
    assert status == 1, text
    assert "some clips were not scored" in text
    assert "ERROR: 8 of 16 samples have no score" in text
    status, text = submit()
    assert status == 0, text
    assert text.count("NO GATE WAS JUDGED") == 2
    assert "shard 2/2 (SLURM_PROCID=1, SLURM_NTASKS=2)" in text
    assert "work: 0 decoded, 0 computed, 16 reused" in text
    assert text.count("PASS") == 1


def free_ports(count: int) -> int:
    """Return the first of some free ports in a row, below those that outgoing connections take."""
    for first in range(20000 + os.getpid() % 5000, 32000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    pytest.skip("no free ports")


@pytest.fixture
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    scripts = folder / "examples" / "slurm"
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp", ignore_cleanup_errors=True) as short:
        try:
            start = environment(folder, SLURM_EXAMPLE_PORT=str(free_ports(3)))
            subprocess.run([scripts / "start_cluster.sh", short], env=start, check=True, timeout=60)
            yield environment(folder, SLURM_CONF=f"{short}/slurm.conf")
        finally:
            subprocess.run([scripts / "stop_cluster.sh", short], check=False)


def test_a_folder_whose_sockets_would_have_too_long_names_is_refused(folder: Path) -> None:
    start = [folder / "examples" / "slurm" / "start_cluster.sh", folder / ("x" * 64)]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "too long a path" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    not all(shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") for tool in ("slurmctld", "slurmd", "munged")),
    reason="SLURM is not installed: no slurmctld, slurmd or munged",
)
def test_a_real_cluster_of_two_nodes(folder: Path, cluster: dict[str, str]) -> None:
    (folder / "bin" / "srun").unlink()
    deadline = time.monotonic() + 85.0

    def submit() -> tuple[str, str]:
        job = ["sbatch", "--parsable", "--ntasks=2", "--ntasks-per-node=1", "examples/slurm/vidmetrics.sbatch"]
        started = subprocess.run(
            [*job, "examples/quickstart", SELECTION],
            cwd=folder,
            env=cluster,
            check=True,
            capture_output=True,
            text=True,
        )
        number = started.stdout.strip()
        while True:  # sbatch --wait asks at ever longer intervals, up to half a minute
            show = ["scontrol", "--oneliner", "show", "job", number]
            state = subprocess.check_output(show, env=cluster, text=True)
            log = folder / f"vidmetrics-{number}.log"
            text = log.read_text() if log.exists() else ""
            if not re.search(r"JobState=(PENDING|RUNNING|CONFIGURING|COMPLETING)", state):
                return state, text
            if time.monotonic() > deadline:
                subprocess.run(["scancel", number], env=cluster, check=False)
                pytest.fail(f"the job did not end\n{state}\n{text}")
            time.sleep(0.5)

    state, text = submit()
    assert "JobState=COMPLETED" in state, state + text
    assert "ExitCode=0:0" in state
    assert "NodeList=node[1-2]" in state
    assert text.count("NO GATE WAS JUDGED") == 2
    assert "work: 0 decoded, 0 computed, 16 reused" in text
    clips = folder / "examples" / "quickstart" / "clips" / "candidate"
    shutil.copy(clips / "ball.mp4", clips / "waves.mp4")
    state, text = submit()
    assert "JobState=FAILED" in state
    assert "ExitCode=1:0" in state
    assert text.count("REGRESSED: worse by") == 1
