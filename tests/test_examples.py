"""The bundled examples: the clips are what the script writes, the quickstart is green, a broken clip turns it red."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from tests.plugin.conftest import PLAIN

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples" / "quickstart"
SELECTION = "--vidmetrics=common,vbench.temporal_flickering"
GATES = {"common.psnr", "common.ssim", "vbench.temporal_flickering", "fvd_motion"}
Ended = tuple[int, str, dict[str, str]]
CHECK = "test_waves_against_its_baseline 'psnr'"


@pytest.fixture(scope="module")
def make_clips() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_make_clips", QUICKSTART / "make_clips.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


@pytest.mark.parametrize("role", ["reference", "candidate"])
def test_clips_are_small_short_and_have_sound(role: str) -> None:
    clips = sorted((QUICKSTART / "clips" / role).glob("*.mp4"))
    assert len(clips) >= 16
    for clip in clips:
        assert clip.stat().st_size <= 100_000, clip.name
        with av.open(str(clip)) as box:
            assert box.streams.video[0].codec_context.name == "h264"
            assert box.streams.audio[0].codec_context.name == "aac"
            assert sum(1 for _ in box.decode(video=0)) == 24


def test_every_clip_has_a_prompt_of_its_own() -> None:
    rows = [json.loads(line) for line in (QUICKSTART / "samples.jsonl").read_text().splitlines()]
    names = {clip.stem for clip in (QUICKSTART / "clips" / "candidate").glob("*.mp4")}
    assert {row["id"] for row in rows} == names
    assert len({row["text_prompt"] for row in rows}) == len(rows)


def test_the_script_writes_the_same_bytes_whatever_the_environment(tmp_path: Path) -> None:
    # The size of the environment moves the stack, and with it what x264 finds in memory it has not written.
    code = (
        "import make_clips as m, pathlib, sys;"
        "m.write(pathlib.Path(sys.argv[1]), m.candidate('clock'), m.sound('clock'), 23)"
    )
    written = []
    for padding in ("x", "x" * 3000):
        path = tmp_path / f"{len(padding)}.mp4"
        environment = {**os.environ, "PADDING": padding, "PYTHONPATH": str(QUICKSTART), "PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=True)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_scenes_move_and_differ(make_clips: ModuleType) -> None:
    middles = []
    for name in make_clips.SCENES:
        frames = make_clips.render(name, 4)
        assert frames.shape == (4, 96, 160, 3)
        assert np.abs(frames[0].astype(int) - frames[1]).mean() > 0.2, f"{name} does not move"
        middles.append(frames[2].astype(float))
    pairs = [np.abs(a - b).mean() for i, a in enumerate(middles) for b in middles[:i]]
    assert min(pairs) > 10


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the examples and baselines, so that no run writes into the checkout."""
    folder = tmp_path_factory.mktemp("demo")
    ignored = shutil.ignore_patterns("degraded", "__pycache__")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignored)
    shutil.copytree(ROOT / "baselines", folder / "baselines")
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


@pytest.fixture
def run(demo: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Return what runs pytest in the copy and gives its exit code, its output and the verdict of each gate."""

    def ended(*args: str, target: str = "examples") -> Ended:
        monkeypatch.chdir(demo)
        monkeypatch.setenv("VIDMETRICS_CACHE", str(demo / "cache"))
        for variable in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
            monkeypatch.delenv(variable, raising=False)
        report = demo / "report.json"
        report.unlink(missing_ok=True)
        done = pytester.runpytest_inprocess(
            target, SELECTION, *PLAIN, "-p", "no:cacheprovider", f"--vidmetrics-report={report}", *args
        )
        return int(done.ret), done.stdout.str() + done.stderr.str(), verdicts(report)

    return ended


def verdicts(report: Path) -> dict[str, str]:
    """Return the verdict of each gate in a JSON report."""
    if not report.exists():
        return {}
    gates = json.loads(report.read_text())["gates"]
    return {gate["gate"].rsplit("::", 1)[-1]: gate["verdict"]["status"] for gate in gates}


def test_the_quickstart_is_green_and_a_second_run_computes_nothing(run: Callable[..., Ended]) -> None:
    code, output, found = run()
    assert code == 0, output
    assert found == dict.fromkeys({*GATES, CHECK}, "PASS")
    code, output, found = run()
    assert code == 0, output
    assert found == dict.fromkeys({*GATES, CHECK}, "PASS")
    assert "work: 0 decoded, 0 computed" in output


@pytest.mark.parametrize(
    ("kind", "red"),
    [
        pytest.param("blur", {"common.psnr", "fvd_motion"}, marks=pytest.mark.slow),
        pytest.param("freeze", {"common.psnr", "common.ssim", "fvd_motion"}, marks=pytest.mark.slow),
        ("flicker", {"fvd_motion", "vbench.temporal_flickering"}),
        pytest.param("noise", GATES, marks=pytest.mark.slow),
    ],
)
def test_one_degraded_clip_turns_exactly_the_right_gates_red(
    demo: Path, run: Callable[..., Ended], make_clips: ModuleType, kind: str, red: set[str]
) -> None:
    make_clips.make_degraded(kind, ["waves"], demo / "examples" / "quickstart" / "clips")
    code, output, found = run("--vidmetrics-checkpoint=degraded", target="examples/quickstart")
    assert code == 1, output
    assert {gate for gate, verdict in found.items() if verdict == "REGRESSED"} == red
    assert found.keys() == GATES
    assert "waves" in output
    assert "Traceback" not in output
