"""``vidmetrics compare A B C``: each run with the first, the doubt said, in four forms."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.gates.record import write_record
from tests.support.run_records import gate, record

BEFORE = {f"c{i}": 36.0 + i / 10 for i in range(8)}


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three records: `a`, `b` that is worse on every clip, `c` that is as good but for noise of both signs."""
    monkeypatch.chdir(tmp_path)
    scores = {
        "a": BEFORE,
        "b": {id: value - 2 - i / 100 for i, (id, value) in enumerate(BEFORE.items())},
        "c": {id: value + (-1) ** i / 4 for i, (id, value) in enumerate(BEFORE.items())},
    }
    for name, samples in scores.items():
        write_record(tmp_path / f"{name}.json", record([gate("common.psnr", samples, BEFORE)]), tmp_path)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *args: str, status: int = 1) -> str:
    capsys.readouterr()
    assert main(["compare", *args]) == status
    return capsys.readouterr().out


def test_each_run_has_a_row_with_its_difference_to_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "a.json", "b.json", "c.json")
    table = [line for line in text.splitlines() if not line.startswith(("b:", "c:", "apart:"))]
    assert max(map(len, table)) <= 80
    rows = {line.split()[0]: line.split() for line in table if line.split()[0] in "abc"}
    assert rows["b"][-2:] == ["yes", "REGRESSED"]
    assert rows["c"][-2] == "no"
    assert "b: bench/wan/t2v/common.psnr.json: REGRESSED: worse by 2.035" in text
    assert "apart: whether the interval" in text


def test_the_other_forms_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    tree = json.loads(told(capsys, "a.json", "b.json", "c.json", "--json"))
    assert {name: one["bench/wan/t2v/common.psnr.json"]["status"] for name, one in tree.items()}["b"] == "REGRESSED"
    lines = list(csv.DictReader(told(capsys, "a.json", "b.json", "c.json", "--csv").splitlines()))
    assert [(line["run"], line["apart"]) for line in lines] == [("b", "yes"), ("c", "no")]
    assert float(lines[0]["harm"]) == tree["b"]["bench/wan/t2v/common.psnr.json"]["harm"]
    assert float(lines[0]["low"]) < 2.035 < float(lines[0]["high"])
    text = told(capsys, "a.json", "b.json", "c.json", "--markdown")
    assert text.startswith("| gate | run | score |")
    assert "| bench/wan/t2v/common.psnr | a | 36.35 |" in text


def test_a_run_with_itself_is_fine_and_twice_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert "PASS" in told(capsys, "a.json", "a.json", status=0)
    assert main(["compare", "a.json", "b.json", "b.json"]) == 2
    assert "a run is given twice: b.json, b.json" in capsys.readouterr().err
