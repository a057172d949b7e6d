"""What an actor of the Ray engine does with a batch, without a cluster: deaths are known by the marks they leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.engine.engines import Resources, get_engine
from pytest_vidmetrics.engine.ray_engine import _Actor, _fitting
from pytest_vidmetrics.engine.rows import RowTask
from tests.support.clips import scene, write_clip

METRIC = "vbench.temporal_flickering"


class Batch:
    """Rows as Ray hands them over: lines of a text file."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def to_pylist(self) -> list[dict[str, str]]:
        return [{"text": one if isinstance(one, str) else json.dumps(one)} for one in self._rows]


def lines(actor: _Actor, rows: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in actor(Batch(rows))["line"]]


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    for seed in range(3):
        write_clip(tmp_path / f"{seed}.mp4", scene(seed))
    return [{"id": f"{seed}", "video": f"{seed}.mp4"} for seed in range(3)]


def test_a_batch_is_scored_at_once_and_after_a_death_row_by_row(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    task = RowTask((METRIC,), str(tmp_path / "store"), str(tmp_path), device="cpu")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = list(get_engine("local")(tmp_path / "rows.jsonl", task, Resources()))
    first = _Actor(task, "run")
    assert lines(first, rows) == expected
    marks = len(list((tmp_path / "store" / "attempts").rglob("*.json")))
    assert marks == 1
    again = _Actor(task, "run")  # what Ray starts after a death
    assert lines(again, rows) == expected
    assert len(list((tmp_path / "store" / "attempts").rglob("*.json"))) == marks + 2 * len(rows)
    other = _Actor(task, "other")
    for begun in range(3):
        other._mark(rows[1], f"begun-{begun}")
    other._together(rows)
    found = lines(other, rows)
    assert [found[0], found[2]] == [expected[0], expected[2]]
    assert found[1]["results"][METRIC]["reason"] == "its worker died 3 times while it scored this row"


def test_what_is_not_a_row_is_a_line(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    task = RowTask((METRIC,), str(tmp_path / "store"), str(tmp_path), device="cpu")
    found = lines(_Actor(task, "run"), [rows[0], "[2]"])
    assert [one["results"][METRIC]["status"] for one in found] == ["scored", "failed"]
    assert found[1]["results"][METRIC]["reason"] == "not a row: [2]"


@pytest.mark.parametrize(
    ("resources", "workers"),
    [
        (Resources(), 8),
        (Resources(workers=3), 3),
        (Resources(gpus_per_worker=1.0), 2),
        (Resources(gpus_per_worker=0.25, cpus_per_worker=0.0), 8),
        (Resources(cpus_per_worker=0.0), 1),
        (Resources(workers=5, cpus_per_worker=0.0), 5),
    ],
)
def test_as_many_workers_as_fit_and_one_where_they_take_nothing(resources: Resources, workers: int) -> None:
    assert _fitting({"CPU": 8.0, "GPU": 2.0}, resources) == workers
