from __future__ import annotations

import hashlib
import importlib
import json
import os
import pkgutil
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import av.video.reformatter  # noqa: F401
import filelock  # noqa: F401
import PIL.Image  # noqa: F401
import pytest
import safetensors.numpy  # noqa: F401
import scipy.linalg  # noqa: F401
import torch
import torch.nn.functional
import yaml  # noqa: F401

import pytest_vidmetrics.engine
import pytest_vidmetrics.gates
import pytest_vidmetrics.plugin
from pytest_vidmetrics.core.verdict import Status
from pytest_vidmetrics.metrics import registry
from tests.support.clips import noisy, scene, write_clip

# In-process runs forget what they imported; extension modules must not be loaded twice into one process.
# The same holds for the plugin's own modules: a second copy would have stash keys of its own.
registry.discover()
torch.zeros(1)
for layer in (pytest_vidmetrics.plugin, pytest_vidmetrics.gates, pytest_vidmetrics.engine):
    for found in pkgutil.iter_modules(layer.__path__, f"{layer.__name__}."):
        importlib.import_module(found.name)

MANIFEST = """\
schema = 1

[case.demo]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "candidate"
reference = "clips/reference/*.mp4"
metrics = ["common.psnr", "vbench.temporal_flickering"]

[case.demo.gate.default]
abs = 0.001
"""
# None decides anything here; anyio's costs every process of a run the import of trio, one of hypothesis in this process
# makes its strategies fail in every test that follows, and logging's meets all loggers of torch and transformers at
# every step of every item.
PLAIN = ("-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:logging")


@dataclass
class Bench:
    """A folder with four clips, a manifest, and ways to run pytest on it."""

    pytester: pytest.Pytester
    recordings: Path
    clips: tuple[str, ...] = ("a", "b", "c", "d")
    made: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.pytester.path

    @property
    def baselines(self) -> Path:
        return self.root / "baselines" / "bench" / "demo"

    def candidate(self, name: str) -> Path:
        return self.root / "clips" / "candidate" / f"{name}.mp4"

    def manifest(self, text: str = MANIFEST, name: str = "bench.vidmetrics.toml") -> Path:
        path = self.root / name
        path.write_text(text)
        return path

    def degrade(self, name: str, strength: float = 40.0) -> None:
        write_clip(self.candidate(name), noisy(scene(self.clips.index(name)), strength))

    def run(self, *args: str, selection: str | None = "all") -> pytest.RunResult:
        """Run pytest in this process; workers of pytest-xdist are processes of their own here too."""
        chosen = [f"--vidmetrics={selection}"] if selection else []
        return self.pytester.runpytest_inprocess(*PLAIN, *chosen, *args)

    def spawn(self, *args: str, selection: str | None = "all") -> pytest.RunResult:
        """Run pytest in a process of its own: slower, for what a first import or the end of a process shows."""
        chosen = [f"--vidmetrics={selection}"] if selection else []
        return self.pytester.runpytest_subprocess(*PLAIN, *chosen, *args)

    def record(self) -> None:
        """Record the six items. Where another test did so with equal files and variables, what it wrote is copied."""
        before = _contents(self.root)
        own = {key for key, value in os.environ.items() if str(self.root) in value} | {"PYTEST_CURRENT_TEST"}
        variables = {key: value for key, value in os.environ.items() if key not in own}
        key = repr((sorted(before.items()), sorted(variables.items())))
        known = self.recordings / hashlib.sha256(key.encode()).hexdigest()
        if known.exists():
            shutil.copytree(known, self.root, dirs_exist_ok=True)
            return
        self.run("--update-baselines").assert_outcomes(passed=6)
        for name, written in _contents(self.root).items():
            if before.get(name) != written:
                (known / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / name, known / name)

    def baseline(self, gate: str) -> dict[str, Any]:
        return json.loads((self.baselines / f"{gate}.json").read_text())


def _contents(folder: Path) -> dict[str, bytes]:
    """Return what the files of a folder hold, by their names from there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def verdicts(result: pytest.RunResult) -> dict[str, str]:
    """Return ``{gate: verdict}`` of the case demo from the summary table."""
    found: dict[str, str] = {}
    subject = above = ""
    for line in result.outlines:
        words = line.split()
        if line.startswith("gate ") and words[-1] == "verdict":
            subject = "of a table"
        elif subject and len(words) == 1 and "::" not in line and subject != "of a table":
            above = line  # a long name has a line of its own
        elif subject and len(words) == 1:
            subject = line
        elif (
            ".vidmetrics." in subject
            and subject.endswith("::demo")
            and len(words) > 2
            and words[-1] in get_args(Status)
        ):
            found[above or words[0]] = words[-1]
            above = ""
        else:
            subject = above = ""
    return found


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    for seed, name in enumerate(Bench.__dataclass_fields__["clips"].default):
        write_clip(root / "reference" / f"{name}.mp4", scene(seed))
        write_clip(root / "candidate" / f"{name}.mp4", noisy(scene(seed), 3.0))
    return root


@pytest.fixture
def bench(
    pytester: pytest.Pytester,
    clip_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    for variable in (
        "PYTEST_XDIST_WORKER",
        "PYTEST_XDIST_WORKER_COUNT",
        "FASTVIDEO_EVAL_CACHE",
        "FASTVIDEO_CACHE_ROOT",
        "SLURM_PROCID",
        "SLURM_NTASKS",
        "SLURM_STEP_ID",
        "SLURM_STEPID",
        "CI_NODE_INDEX",
        "CI_NODE_TOTAL",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(pytester.path / "cache"))
    shutil.copytree(clip_folder, pytester.path / "clips")
    made = Bench(pytester, tmp_path_factory.getbasetemp() / "recordings")
    made.manifest()
    return made
