"""Run records: what is written can be compared again, and a record that says something else is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.commands.review import review
from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.verdict import ClipChange, Verdict
from pytest_vidmetrics.gates.baseline_text import decode_baseline
from pytest_vidmetrics.gates.compare import load_scores
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.record import GateRecord, RunRecord, read_record, write_record
from tests.support.baselines import OWNER

FILE = "bench/demo/my.metric.json"


def gate(root: Path) -> GateRecord:
    metric = {"name": "my.metric", "params": {"folder": f"{root}/data"}}
    paths = {"a": f"{root}/clips/a.mp4", "b": "/elsewhere/b.mp4"}
    scores = CorpusScore(metric, True, 1.5, {"a": 1.0, "b": 2.0}, paths, "ids", None)
    clip = ClipChange("a", f"{root}/clips/a.mp4", 2.0, 1.0, 1.0)
    verdict = Verdict("REGRESSED", f"worse, see {root}/clips", baseline=2.0, now=1.5, n=2, worst=(clip,))
    return GateRecord("demo::my.metric", FILE, verdict, scores=scores, recorded_by=OWNER)


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    def write(*gates: GateRecord, **facts: Any) -> Path:
        write_record(tmp_path / "r.json", RunRecord(gates, **facts), tmp_path)
        return tmp_path / "r.json"

    return write


def test_what_is_written_is_what_is_read(record: Callable[..., Path], tmp_path: Path) -> None:
    one = gate(Path("/outside"))
    facts = {"environment": {"time": "2026"}, "cases": {"demo": {"a": {"video": "a.mp4"}}}}
    assert read_record(record(one, **facts)) == RunRecord((one,), **facts)


def test_paths_are_portable_and_what_is_compared_is_untouched(record: Callable[..., Path], tmp_path: Path) -> None:
    path = record(gate(tmp_path), cases={"demo": {"a": {"video": f"{tmp_path}/clips/a.mp4"}}})
    tree = json.loads(path.read_text())
    (read,) = tree["gates"]
    assert read["verdict"]["worst"][0]["path"] == "clips/a.mp4"
    assert read["verdict"]["reason"] == "worse, see clips"
    assert read["scores"]["paths"] == {"a": "clips/a.mp4", "b": "/elsewhere/b.mp4"}
    assert tree["cases"]["demo"]["a"] == {"video": "clips/a.mp4"}
    assert read["scores"]["metric"]["params"] == {"folder": f"{tmp_path}/data"}
    scores = load_scores(path)[FILE]
    assert not isinstance(scores, str)
    assert scores.baseline.scores.metric["params"] == {"folder": f"{tmp_path}/data"}


def _set(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(tree: dict[str, Any]) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = to

    return change


CHANGES = {
    "no verdict": (lambda tree: tree.pop("verdict"), "gates[0] has no verdict"),
    "text": (_set("verdict", to="PASS"), "gates[0].verdict is 'PASS', not an object"),
    "status": (_set("verdict", "status", to=3), "gates[0].verdict.status is 3, not one of PASS"),
    "made up": (_set("verdict", "status", to="GREEN"), "gates[0].verdict.status is 'GREEN', not one of PASS"),
    "passed": (_set("verdict", "passed", to=True), "gates[0].verdict has a field 'passed'"),
    "clip": (_set("verdict", "worst", to=[5]), "gates[0].verdict.worst[0] is 5, not an object"),
    "file": (_set("file", to=None), "gates[0].file is None, not text"),
    "scores": (_set("scores", to=[1]), "gates[0].scores is [1], not an object"),
    "score": (_set("scores", "score", to=10**400), "gates[0].scores.score is 1000"),
    "sample": (_set("scores", "samples", "a", to="1"), "gates[0].scores.samples['a'] is '1', not a number"),
    "abs": (_set("policy", "abs", to="x"), "gates[0].policy.abs is 'x', not a number"),
    "rel": (_set("policy", "rel", to=-1), "rel must be finite and not negative, got -1"),
    "alpha": (_set("policy", "alpha", to=0.9), "alpha must lie between 0 and 0.5, got 0.9"),
    "decide": (_set("policy", "decide", to="foo"), "gates[0].policy.decide is 'foo', not one of point"),
    "decide list": (_set("policy", "decide", to=[]), "gates[0].policy.decide is []"),
    "min_n": (_set("policy", "min_n", to=0), "min_n must be a whole number of at least 1, got 0"),
    "unknown": (_set("policy", "margin", to=1), "gates[0].policy has a field 'margin'"),
    "policy": (_set("policy", to=5), "gates[0].policy is 5, not an object"),
    "recorder": (_set("recorded_by", to={"manifest": "x"}), "gates[0].recorded_by has a field 'manifest'"),
    "clusters": (_set("scores", "clusters", to={"a": "ball"}), "clusters lists some samples only, and not b"),
    "cluster texts": (_set("scores", "clusters", to={"a": 1, "b": 2}), "gates[0].scores.clusters['a'] is 1, not text"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_record_with_other_content_is_refused_by_file_and_gate(
    name: str, record: Callable[..., Path], tmp_path: Path
) -> None:
    change, expected = CHANGES[name]
    path = record(gate(tmp_path))
    content = json.loads(path.read_text())
    change(content["gates"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(BaselineError) as refused:
        load_scores(path)
    text = str(refused.value)
    assert text.startswith(f"{path}: ")
    assert all(part in text for part in expected.split("*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schema": 1, "gates": [5], "environment": {}}, "the record.gates[0] is 5, not an object"),
        ({"schema": 1, "gates": {}, "environment": {}}, "the record.gates is {}, not a list"),
        ({"schema": 2, "gates": [], "environment": {}}, "it has schema 2, this version reads 1"),
        ({"schema": 1, "environment": {}}, "the record has no gates"),
        ({"schema": 1, "gates": [], "environment": {"a": 1}}, "the record.environment['a'] is 1, not text"),
        ([1], "the record is [1], not an object"),
    ],
)
def test_what_is_no_record_is_an_error_of_one_line(
    content: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    assert main(["compare", str(path), str(path)]) == 2
    said = capsys.readouterr().err
    assert said == f"vidmetrics compare: {path}: not a run record of schema 1: {message}\n"


def test_two_gates_of_one_file_are_no_record(record: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"gates\[1\] has the baseline file bench/demo/my.metric.json, and so has"):
        read_record(record(gate(tmp_path), gate(tmp_path)))


@pytest.mark.parametrize("option", ["--abs=x", "--rel=", "--alpha=y"])
def test_a_margin_that_is_no_number(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "a", "b", option])
    said = capsys.readouterr().err
    assert "got " in said
    assert "invalid" not in said


def test_the_end_of_the_input_leaves_a_review(record: Callable[..., Path], tmp_path: Path) -> None:
    def ask(question: str) -> str:
        raise EOFError

    said: list[str] = []
    folder = BaselineFolder(tmp_path / "baselines", tmp_path)
    assert review(read_record(record(gate(tmp_path))), folder, ask, said.append) == 1
    assert not folder.path.exists()
    assert said[-1].endswith("\n")


def test_what_a_review_accepts_is_the_metric_that_was_scored(record: Callable[..., Path], tmp_path: Path) -> None:
    folder = BaselineFolder(tmp_path / "baselines", tmp_path)
    facts = {"environment": {"python": "3.11", "time": "2026", "commit": "1f", "checkpoint": "c"}}
    assert review(read_record(record(gate(tmp_path), **facts)), folder, lambda _: "a", lambda _: None) == 0
    written = decode_baseline(folder.file(FILE).read_bytes(), FILE)
    assert written.scores.metric["params"] == {"folder": f"{tmp_path}/data"}
    assert written.recorded_by == OWNER
    assert written.environment == {"python": "3.11"}


@pytest.mark.parametrize("file", ["../../evil/x/y.json", "/tmp/evil/x.json", "a/../../b.json", "package.json"])
def test_a_review_writes_nothing_outside_of_the_folder(
    file: str, record: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = record(replace(gate(tmp_path), file=file))
    folder = BaselineFolder(tmp_path / "a" / "b" / "baselines", tmp_path / "a" / "b")
    with pytest.raises(BaselineError, match="is not the name of a baseline"):
        review(read_record(path), folder, lambda _: "a", lambda _: None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]


def test_a_review_shows_escape_sequences_as_text(record: Callable[..., Path], tmp_path: Path) -> None:
    bad = replace(gate(tmp_path), verdict=Verdict("REGRESSED", "fine\x1b[2J\u202egnorw", now=1.0))
    said: list[str] = []
    folder = BaselineFolder(tmp_path / "baselines", tmp_path)
    review(read_record(record(bad)), folder, lambda _: "q", said.append)
    text = "".join(said)
    assert "\x1b" not in text
    assert "fine\\x1b[2J\\u202egnorw" in text
