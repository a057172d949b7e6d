"""Baseline files: what is written is what is read, and a change in between is named."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline, Noise
from pytest_vidmetrics.gates.baseline_text import decode_baseline, parse_baseline
from pytest_vidmetrics.gates.digits import close, digits
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.recorder import Recorder
from tests.support.baselines import OWNER, edit_baseline

SCORES = CorpusScore(
    metric={"name": "common.fvd", "version": "1", "params": {"extractor": "motion_energy"}, "weights": {}},
    higher_is_better=False,
    score=12.5,
    samples={"a": 0.25, "b": -0.5, "ü": 1e-17},
    paths={},
    sample_ids="ids",
    reference="refs",
    inputs={"a": "1", "b": "2", "ü": "3"},
)
BASELINE = Baseline(SCORES, OWNER, Noise(0.5, 3, "scoring"), (11.0, 14.0), {"python": "3.11.7"})
KEY = "bench/demo/fvd.json"


@pytest.fixture
def folder(tmp_path: Path) -> BaselineFolder:
    folder = BaselineFolder(tmp_path / "baselines", tmp_path)
    folder.write(KEY, BASELINE)
    return folder


@pytest.fixture
def path(folder: BaselineFolder) -> Path:
    return folder.file(KEY)


def read(path: Path) -> Baseline:
    return decode_baseline(path.read_bytes(), str(path))


def test_what_is_written_is_what_is_read(folder: BaselineFolder, path: Path) -> None:
    assert folder.read(KEY) == BASELINE
    assert folder.read("bench/demo/none.json") is None
    text = path.read_text("utf-8")
    path.write_text(json.dumps(json.loads(text)), "utf-8")  # another layout of the same content
    assert folder.read(KEY) == BASELINE


def test_score_interval_and_n_come_first_and_each_clip_has_a_line(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert lines[1:4] == [' "score": 12.5,', ' "interval": [11.0, 14.0],', ' "n": 3,']
    assert '  "b": -0.5,' in lines
    assert ' "noise": {' in lines


def test_another_recorder_is_another_content(path: Path) -> None:
    edit_baseline(path, {"recorded_by": {"manifest": "../a.vidmetrics.toml", "case": "demo", "gate": "m"}})
    assert read(path).recorded_by == Recorder("manifest", "../a.vidmetrics.toml", "demo", "m")
    assert not read(path).same_as(BASELINE)
    edit_baseline(path, {"recorded_by": {"case": "demo"}})
    with pytest.raises(BaselineError, match=r"recorded_by is \{'case': 'demo'\}, which names no gate"):
        read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"score": 1250.0},
        {"samples": {"a": 0.25, "b": -0.5, "ü": 2e-17}},
        {"noise": None},
        {"noise": {"sigma": 1000.0, "runs": 3, "kind": "scoring"}},
        {"interval": None},
        {"direction": "higher"},
        {"reference": None},
        {"metric": {"name": "common.fvd"}},
        {"sample_ids": "others"},
        {"margin": 100.0},
        {"recorded_by": {"manifest": "../bench.vidmetrics.toml", "case": "other", "gate": "m"}},
        {"inputs": {}},
        {"digest": None},
        {"digest": "0" * 64},
        {"sample_ids": "\ud800"},
    ],
)
def test_every_change_by_hand_is_named(path: Path, change: dict[str, Any]) -> None:
    edit_baseline(path, change, sealed=False)
    with pytest.raises(BaselineError) as caught:
        read(path)
    assert str(caught.value) == (
        f"the baseline {path} was edited by hand or merged: its digest does not fit its content; "
        "restore the committed file, or record it again with --update-baselines"
    )


def test_a_file_without_a_digest_is_named(path: Path) -> None:
    tree = json.loads(path.read_text("utf-8"))
    del tree["digest"]
    path.write_text(json.dumps(tree), "utf-8")
    with pytest.raises(BaselineError, match="edited by hand or merged"):
        read(path)


def test_facts_about_the_machine_may_change(path: Path) -> None:
    edit_baseline(path, {"environment": {}}, sealed=False)
    assert read(path).same_as(BASELINE)


@pytest.mark.parametrize("again", ['"noise": null', '"score": 20.0', '"samples": {"a": 1.0}', '"digest": ""'])
def test_a_key_that_stands_there_twice_is_named(path: Path, again: str) -> None:
    text = path.read_text("utf-8")
    path.write_text(text.rstrip().removesuffix("}") + f",{again}}}", "utf-8")
    key = again.split('"')[1]
    with pytest.raises(BaselineError, match=f"the key '{key}' is there more than once"):
        read(path)
    path.write_text(text.replace('"a": 0.25', '"a": 0.25, "a": 0.25'), "utf-8")
    with pytest.raises(BaselineError, match="the key 'a' is there more than once"):
        read(path)


def test_a_number_that_is_too_large_has_no_traceback(path: Path) -> None:
    edit_baseline(path, {"score": 10**400})
    with pytest.raises(BaselineError, match="not a baseline of schema 1"):
        read(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(BASELINE.to_json())), json_values)
def test_any_value_for_a_key_is_either_read_or_refused(key: str, value: Any) -> None:
    tree = {**BASELINE.to_json(), key: value}
    with contextlib.suppress(BaselineError):
        assert isinstance(parse_baseline(tree, "a file"), Baseline)


def test_a_link_into_the_repository_is_followed_and_stays_a_link(folder: BaselineFolder, path: Path) -> None:
    shared = folder.root / "shared" / "fvd.json"
    shared.parent.mkdir()
    path.replace(shared)
    path.symlink_to(shared)
    assert folder.read(KEY) == BASELINE
    folder.write(KEY, replace(BASELINE, noise=None))
    assert path.is_symlink()
    assert read(shared).noise is None
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["fvd.json"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_out_of_the_repository_is_neither_read_nor_written(tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    BaselineFolder(outside, outside).write(KEY, BASELINE)
    before = (outside / KEY).read_bytes()
    folder = BaselineFolder(tmp_path / "repository" / "baselines", tmp_path / "repository")
    link = folder.path / ("bench" if kind == "folder" else KEY)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / ("bench" if kind == "folder" else KEY))
    for act in (folder.read, lambda key: folder.write(key, replace(BASELINE, noise=None))):
        with pytest.raises(BaselineError, match=r"it leads to .*outside of .* and of the repository"):
            act(KEY)
    if kind == "folder":
        with pytest.raises(BaselineError, match="cannot delete the baseline"):
            folder.delete(KEY)
    assert (outside / KEY).read_bytes() == before


def test_a_link_to_what_is_not_a_baseline_is_not_written_through(folder: BaselineFolder, path: Path) -> None:
    package = folder.root / "package.json"
    package.write_text('{"name": "site"}')
    path.unlink()
    path.symlink_to(package)
    with pytest.raises(BaselineError, match="what is there is not a baseline"):
        folder.write(KEY, BASELINE)
    assert package.read_text() == '{"name": "site"}'
    package.unlink()  # a link that leads nowhere makes no new file somewhere in the repository
    with pytest.raises(BaselineError, match=r"leads out of .*, which is not a baseline"):
        folder.write(KEY, BASELINE)
    with pytest.raises(BaselineError, match="the link leads nowhere"):
        folder.read(KEY)
    assert not package.exists()


@pytest.mark.parametrize(
    "key",
    ["../x/y.json", "a/../b.json", "a/./b.json", "/etc/x/y.json", "a/b.json", "a//b.json", "a/b/c", "a/b/c\x00.json"],
)
def test_a_key_that_leads_elsewhere_is_refused(folder: BaselineFolder, key: str) -> None:
    for act in (folder.read, folder.holds, folder.delete, lambda key: folder.write(key, BASELINE)):
        with pytest.raises(BaselineError, match="is not the name of a baseline"):
            act(key)


@pytest.mark.parametrize("content", ["{}", "[]", '{"name": "x"}', "some notes\n", "\x89PNG"])
def test_only_baselines_are_replaced(folder: BaselineFolder, path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(BaselineError, match="what is there is not a baseline; move it away"):
        folder.write(KEY, BASELINE)
    assert path.read_text() == content


@pytest.mark.parametrize("damage", ["", "half", "merged"])
def test_a_damaged_baseline_is_replaced(folder: BaselineFolder, path: Path, damage: str) -> None:
    text = path.read_text("utf-8")
    path.write_text({"half": text[: len(text) // 2], "merged": f"<<<<<<< ours\n{text}>>>>>>> theirs\n"}.get(damage, ""))
    folder.write(KEY, BASELINE)
    assert read(path) == BASELINE


def test_links_that_lead_to_themselves_are_an_error_of_the_file(tmp_path: Path) -> None:
    folder = BaselineFolder(tmp_path / "baselines", tmp_path)
    folder.path.symlink_to(folder.path)
    with pytest.raises(BaselineError, match="cannot read the baseline"):
        folder.read(KEY)
    with pytest.raises(BaselineError, match="cannot write the baseline"):
        folder.write(KEY, BASELINE)


def test_a_pipe_is_an_error_and_no_wait(folder: BaselineFolder, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    for act in (folder.read, lambda key: folder.write(key, BASELINE)):
        with pytest.raises(BaselineError, match="not an ordinary file"):
            act(KEY)


def test_a_text_that_utf_8_has_not_is_one_error(folder: BaselineFolder, path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(BaselineError, match="no form in JSON"):
        folder.write(KEY, replace(BASELINE, environment={"gpu": "\ud800"}))
    assert path.read_bytes() == before


@settings(deadline=None)
@given(
    st.floats(-1e12, 1e12),
    st.floats(1e-12, 1e3) | st.just(0.0),
)
def test_rounding_is_stable_and_within_a_thousandth_of_the_floor(value: float, floor: float) -> None:
    once = digits(value, floor)
    assert digits(once, floor) == once
    assert abs(once - value) <= max(floor / 1000, abs(value) * 1e-9, 5e-324)
    assert close({"a": once}, {"a": digits(value + floor / 10_000, floor)}, floor)


def test_digits_beyond_the_floor_are_not_written_and_change_nothing(tmp_path: Path) -> None:
    noisy = replace(SCORES, score=12.5 + 3e-10, samples={"a": 0.25 + 3e-10}, noise_floor=1e-5)
    first = Baseline.of(noisy, OWNER)
    assert first.scores.score == 12.5
    assert first.samples == {"a": 0.25}
    moved = replace(noisy, score=12.5 + 9e-9, samples={"a": 0.25 - 9e-9})
    assert Baseline.of(moved, OWNER).same_as(first)
    assert not Baseline.of(replace(noisy, score=12.5 + 1e-6), OWNER).same_as(first)
