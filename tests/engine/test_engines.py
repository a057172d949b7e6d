"""Rows scored by engines, and judged by gates that open no clip."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pytest_vidmetrics
from pytest_vidmetrics.cli import main
from pytest_vidmetrics.core.errors import UnavailableError, VidmetricsError
from pytest_vidmetrics.engine.engines import Resources, get_engine
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.rows import RowTask
from tests.support.clips import noisy, scene, write_clip

METRICS = ("common.psnr", "vbench.temporal_flickering")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rows")
    for seed in range(4):
        write_clip(root / "reference" / f"{seed}.mp4", scene(seed))
        write_clip(root / "clips" / f"{seed}.mp4", noisy(scene(seed), 4.0))
    root.joinpath("clips/broken.mp4").write_bytes(b"no clip at all")
    return root


def write_rows(root: Path, name: str = "rows.jsonl", *, names: tuple[str, ...] = ("0", "1", "2", "3")) -> Path:
    rows = [{"id": one, "video": f"clips/{one}.mp4", "reference": f"reference/{one}.mp4"} for one in names]
    root.joinpath(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root / name


def task(root: Path, store: Path | str, **more: Any) -> RowTask:
    return RowTask(more.pop("metrics", METRICS), str(store), str(root), device="cpu", **more)


def test_lines_have_the_scores_of_the_evaluator(clips: Path, tmp_path: Path) -> None:
    lines = list(get_engine("local")(write_rows(clips), task(clips, tmp_path), Resources()))
    assert [line["id"] for line in lines] == ["0", "1", "2", "3"]
    with Evaluator(METRICS, "cpu") as evaluator:
        for line in lines:
            one = line["id"]
            found = evaluator.evaluate(video=clips / f"clips/{one}.mp4", reference=clips / f"reference/{one}.mp4")
            assert {name: result.score for name, result in found.items()} == {
                name: result["score"] for name, result in line["results"].items()
            }


def test_a_bad_row_is_a_line_that_says_so_and_the_others_are_scored(clips: Path, tmp_path: Path) -> None:
    rows = write_rows(clips, "bad.jsonl", names=("0", "broken", "nowhere", "1"))
    out = tmp_path / "out" / "lines.jsonl"
    status = main(
        [
            "score",
            str(rows),
            f"--metrics={','.join(METRICS)}",
            f"--store={tmp_path}/s",
            "--device=cpu",
            f"--output={out}",
        ]
    )
    assert status == 1
    lines = {line["id"]: line["results"] for line in map(json.loads, out.read_text().splitlines())}
    assert {one: lines[one]["common.psnr"]["status"] for one in lines} == {
        "0": "scored",
        "broken": "failed",
        "nowhere": "failed",
        "1": "scored",
    }
    assert "nowhere.mp4" in lines["nowhere"]["common.psnr"]["reason"]
    assert not list(out.parent.glob("*.part"))


def test_a_second_run_decodes_nothing(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write_rows(clips)
    first = list(get_engine("local")(rows, task(clips, tmp_path), Resources()))
    monkeypatch.setattr("pytest_vidmetrics.engine.loading.read", None)
    assert list(get_engine("local")(rows, task(clips, tmp_path), Resources())) == first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"rows\.jsonl has no rows"),
        ('{"id": 1}\n[2]\n', r"rows\.jsonl:2: a row is an object of sample keys, not a list"),
        ('{"id": 1}\n{"id"\n', r"rows\.jsonl:2"),
    ],
)
def test_a_wrong_file_is_one_error_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    tmp_path.joinpath("rows.jsonl").write_text(text)
    with pytest.raises((VidmetricsError, ValueError), match=said):
        list(get_engine("local")(tmp_path / "rows.jsonl", task(tmp_path, tmp_path / "s"), Resources()))


def test_a_wrong_call_is_one_message(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(write_rows(clips)), "--engine=rey"]) == 2
    assert "unknown engine 'rey'; did you mean 'ray'? (known: local, ray)" in capsys.readouterr().err
    assert main(["score", str(clips / "clips"), "--engine=ray"]) == 2
    assert "scores the rows of one .jsonl or .parquet file" in capsys.readouterr().err
    assert main(["score", str(tmp_path / "none.jsonl"), "--metrics=common.psnr"]) == 2
    assert "none.jsonl does not exist" in capsys.readouterr().err


def test_without_ray_it_is_said_how_to_get_it(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnavailableError, match=r"pip install 'pytest-vidmetrics\[ray\]', or use --engine=local"):
        list(get_engine("ray")(write_rows(clips), task(clips, tmp_path), Resources()))


def test_an_installed_package_adds_an_engine(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.joinpath("their_engine.py").write_text(
        "from pytest_vidmetrics.engine.engines import local\n\n\ndef engine(rows, task, resources):\n"
        "    assert resources.workers == 3\n    yield from reversed(list(local(rows, task, resources)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("theirs", "their_engine:engine", "pytest_vidmetrics.engines")
    real = importlib.metadata.entry_points
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda **how: [point] if how.get("group") == point.group else real(**how),
    )
    rows = write_rows(clips)
    assert (
        main(["score", str(rows), "--metrics=common.psnr", "--engine=theirs", "--workers=3", f"--store={tmp_path}/s"])
        == 0
    )
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["3", "2", "1", "0"]


def test_parquet_rows_are_read_where_pyarrow_is(clips: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [json.loads(line) for line in write_rows(clips).read_text().splitlines()]
    parquet.write_table(pyarrow.Table.from_pylist(rows), clips / "rows.parquet")
    found = [
        list(get_engine("local")(clips / name, task(clips, tmp_path), Resources()))
        for name in ("rows.jsonl", "rows.parquet")
    ]
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, object_store_memory=300_000_000, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_lines_and_the_store_of_this_machine(ray_cluster: Any, clips: Path, tmp_path: Path) -> None:
    rows = write_rows(clips, "many.jsonl", names=("0", "1", "2", "3", "broken") * 100)
    folders = {name: tmp_path / name for name in ("local", "ray")}
    lines = {
        name: sorted(
            json.dumps(line, sort_keys=True) for line in get_engine(name)(rows, task(clips, folder), Resources(2))
        )
        for name, folder in folders.items()
    }
    assert len(lines["ray"]) == 500
    assert lines["ray"] == lines["local"]
    kept = {
        name: {path.name: path.read_bytes() for path in (folder / "results").rglob("*.json")}
        for name, folder in folders.items()
    }
    assert kept["ray"] == kept["local"]
    assert kept["ray"]


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_a_clip_that_kills_its_worker_is_an_error_and_the_rest_is_scored(
    ray_cluster: Any, clips: Path, tmp_path: Path
) -> None:
    tmp_path.joinpath("deadly.py").write_text(
        "import os\nfrom pytest_vidmetrics import BaseMetric, MetricResult, register\n\n"
        "@register('deadly.metric')\nclass Deadly(BaseMetric):\n    requires_reference = False\n    reads = ('kill',)\n"
        "    def compute(self, sample):\n        if sample.get('kill'):\n            os._exit(9)\n"
        "        return MetricResult(self.name, float(sample['video'].mean()))\n"
    )
    rows = [{"id": f"{i}", "video": f"clips/{i % 4}.mp4", **({"kill": True} if i == 7 else {})} for i in range(24)]
    clips.joinpath("deadly.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = os.pathsep.join([str(tmp_path), str(Path(pytest_vidmetrics.__file__).parents[1])])
    code = f"""
import json, ray
from pathlib import Path
from pytest_vidmetrics.engine.engines import Resources, get_engine
from pytest_vidmetrics.engine.rows import RowTask
import deadly
everywhere = {{"env_vars": {{"PYTHONPATH": {path!r}}}, "worker_process_setup_hook": "deadly_hook.load"}}
small = {{"object_store_memory": 300_000_000, "include_dashboard": False, "log_to_driver": False}}
ray.init(num_cpus=2, runtime_env=everywhere, **small)
task = RowTask(("deadly.metric",), {str(tmp_path / "s")!r}, {str(clips)!r}, device="cpu")
for line in get_engine("ray")(Path({str(clips / "deadly.jsonl")!r}), task, Resources(2)):
    print("LINE", json.dumps(line))
"""
    tmp_path.joinpath("deadly_hook.py").write_text("def load():\n    import deadly\n")
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, env=environment)
    lines = {
        one["id"]: one for one in (json.loads(text[5:]) for text in done.stdout.splitlines() if text.startswith("LINE"))
    }
    assert len(lines) == 24, done.stderr[-3000:]
    bad = {id for id, one in lines.items() if one["results"]["deadly.metric"]["status"] != "scored"}
    assert bad == {"7"}
    assert "its worker died 3 times" in lines["7"]["results"]["deadly.metric"]["reason"]


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_a_driver_that_is_killed_leaves_what_was_stored(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    rows = write_rows(clips, "killed.jsonl")
    command = [
        *(sys.executable, "-m", "pytest_vidmetrics.cli", "score", str(rows), "--metrics=common.psnr"),
        *("--engine=ray", f"--store={tmp_path}/s", "--device=cpu"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "s").rglob("*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "4 rows, 0 with a metric that failed" in again.stderr


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_start_is_said_before_the_start(ray_cluster: Any, clips: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("none.jsonl").write_text("\n")
    for rows, resources, store, said in (
        (tmp_path / "none.jsonl", Resources(), tmp_path, "has no rows"),
        (tmp_path / "absent.jsonl", Resources(), tmp_path, "does not exist"),
        (write_rows(clips), Resources(gpus_per_worker=1), tmp_path, "a worker takes 1 GPU, and the cluster has 0"),
        (write_rows(clips), Resources(), "memory://", "a store in memory is not shared"),
    ):
        with pytest.raises(VidmetricsError, match=said):
            list(get_engine("ray")(rows, task(clips, store), resources))
