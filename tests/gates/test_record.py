"""Run records: what is written can be compared again, and a record that says something else is refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.commands.review import review
from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.compare import load_scores
from pytest_vidmetrics.gates.record import read_record, write_record

FILE = "baselines/bench/demo/my.metric.json"


def gate(root: Path) -> dict[str, Any]:
    metric = {"name": "my.metric", "params": {"folder": f"{root}/data"}}
    samples = {"a": 1.0, "b": 2.0}
    observed = Baseline(metric, True, 1.5, samples, "ids", None).to_json()
    clip = {"id": "a", "path": f"{root}/clips/a.mp4", "baseline": 2.0, "now": 1.0, "harm": 1.0}
    verdict = {"status": "REGRESSED", "reason": "worse", "baseline": 2.0, "now": 1.5, "n": 2, "worst": [clip]}
    policy = {"abs": 0.0, "rel": 0.0, "sigma": 3.0, "decide": "point", "alpha": 0.05, "min_n": None}
    return {"gate": "demo::my.metric", "file": FILE, "verdict": verdict, "observed": observed, "policy": policy}


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    def write(*gates: dict[str, Any]) -> Path:
        write_record(tmp_path / "r.json", gates, {}, {}, tmp_path)
        return tmp_path / "r.json"

    return write


def test_paths_are_portable_and_what_is_compared_is_untouched(record: Callable[..., Path], tmp_path: Path) -> None:
    path = record(gate(tmp_path))
    (read,) = json.loads(path.read_text())["gates"]
    assert read["verdict"]["worst"][0]["path"] == "clips/a.mp4"
    assert read["observed"] == gate(tmp_path)["observed"]
    scores = load_scores(path)["bench/demo/my.metric.json"]
    assert not isinstance(scores, str)
    assert scores.baseline.metric["params"] == {"folder": f"{tmp_path}/data"}


def _set(*keys: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(tree: dict[str, Any]) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = to

    return change


CHANGES = {
    "no verdict": (lambda tree: tree.pop("verdict"), "gates[0] has no verdict"),
    "text": (_set("verdict", to="PASS"), "gates[0] has verdict = 'PASS'"),
    "status": (_set("verdict", "status", to=3), "bench/demo/my.metric.json: the verdict has status = 3"),
    "clip": (_set("verdict", "worst", to=[5]), "bench/demo/my.metric.json: a clip of the verdict is 5"),
    "file": (_set("file", to=None), "gates[0] has file = None"),
    "observed": (_set("observed", to=[1]), "bench/demo/my.metric.json: observed is [1], not an object"),
    "abs": (_set("policy", "abs", to="x"), "bench/demo/my.metric.json: the policy of the gate *: abs = 'x'"),
    "rel": (_set("policy", "rel", to=-1), "*: rel = -1"),
    "alpha": (_set("policy", "alpha", to=0.9), "*: alpha = 0.9"),
    "decide": (_set("policy", "decide", to="foo"), "*: decide = 'foo'"),
    "decide list": (_set("policy", "decide", to=[]), "*: decide = []"),
    "min_n": (_set("policy", "min_n", to=0), "*: min_n = 0"),
    "unknown": (_set("policy", "margin", to=1), "*: margin = 1"),
    "policy": (_set("policy", to=5), "*: 5 is no object"),
    "clusters": (
        _set("observed", "clusters", to={"a": "ball"}),
        "bench/demo/my.metric.json: clusters lists some samples only, and not b",
    ),
    "cluster texts": (_set("observed", "clusters", to={"a": 1, "b": 2}), "*: clusters is not an object of texts"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_record_with_other_content_is_refused_by_file_and_gate(
    name: str, record: Callable[..., Path], tmp_path: Path
) -> None:
    change, expected = CHANGES[name]
    tree = copy.deepcopy(gate(tmp_path))
    path = record(tree)
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
        ({"schema": 1, "gates": [5], "environment": {}}, "gates[0] is 5, not an object"),
        ({"schema": 1, "gates": {}, "environment": {}}, "the record has gates = {}"),
        ({"schema": 2, "gates": [], "environment": {}}, "it has schema 2, this version reads 1"),
        ({"schema": 1, "gates": []}, "the record has no environment"),
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


def test_what_a_gate_says_of_itself_stays_beside_the_facts_of_the_run(tmp_path: Path) -> None:
    tree = gate(tmp_path)
    tree["observed"]["environment"] = {"manifest": "a/bench.vidmetrics.toml"}
    write_record(tmp_path / "r.json", [tree], {}, {"python": "3.11"}, tmp_path)
    (read,) = read_record(tmp_path / "r.json").values()
    assert read["observed"]["environment"] == {"manifest": "a/bench.vidmetrics.toml", "python": "3.11"}


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
    assert review(read_record(record(gate(tmp_path))), tmp_path / "baselines", ask, said.append) == 1
    assert not (tmp_path / "baselines").exists()
    assert said[-1].endswith("\n")


def test_what_a_review_accepts_is_the_metric_that_was_scored(record: Callable[..., Path], tmp_path: Path) -> None:
    assert review(read_record(record(gate(tmp_path))), tmp_path / "baselines", lambda _: "a", lambda _: None) == 0
    written = json.loads((tmp_path / FILE).read_text())
    assert written["metric"]["params"] == {"folder": f"{tmp_path}/data"}
