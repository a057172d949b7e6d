"""Baseline files: what is written is what is read, and a change in between is named."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.gates.baseline import Baseline, Noise, parse_baseline, read_baseline, write_baseline
from tests.support.baselines import edit_baseline

BASELINE = Baseline(
    metric={"name": "common.fvd", "version": "1", "params": {"extractor": "motion_energy"}, "weights": {}},
    higher_is_better=False,
    score=12.5,
    samples={"a": 0.25, "b": -0.5, "ü": 1e-17},
    sample_ids="ids",
    reference="refs",
    interval=(11.0, 14.0),
    noise=Noise(0.5, 3, "scoring"),
    environment={"python": "3.11.7"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "baselines" / "bench" / "demo" / "fvd.json"
    write_baseline(path, BASELINE.to_json())
    return path


def test_what_is_written_is_what_is_read(path: Path) -> None:
    assert read_baseline(path) == BASELINE
    assert read_baseline(path.with_name("none.json")) is None
    text = path.read_text("utf-8")
    path.write_text(json.dumps(json.loads(text)), "utf-8")  # another layout of the same content
    assert read_baseline(path) == BASELINE


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
        {"digest": None},
        {"digest": "0" * 64},
        {"sample_ids": "\ud800"},
    ],
)
def test_every_change_by_hand_is_named(path: Path, change: dict[str, Any]) -> None:
    edit_baseline(path, change, sealed=False)
    with pytest.raises(BaselineError) as caught:
        read_baseline(path)
    assert str(caught.value) == (
        f"the baseline {path} was edited by hand or merged: its digest does not fit its content; "
        "restore the committed file, or record it again with --update-baselines"
    )


def test_a_file_without_a_digest_is_named(path: Path) -> None:
    tree = json.loads(path.read_text("utf-8"))
    del tree["digest"]
    path.write_text(json.dumps(tree), "utf-8")
    with pytest.raises(BaselineError, match="edited by hand or merged"):
        read_baseline(path)


def test_facts_about_the_machine_may_change(path: Path) -> None:
    edit_baseline(path, {"environment": {}}, sealed=False)
    found = read_baseline(path)
    assert found is not None
    assert found.same_as(BASELINE)


@pytest.mark.parametrize("again", ['"noise": null', '"score": 20.0', '"samples": {"a": 1.0}', '"digest": ""'])
def test_a_key_that_stands_there_twice_is_named(path: Path, again: str) -> None:
    text = path.read_text("utf-8")
    path.write_text(text.rstrip().removesuffix("}") + f",{again}}}", "utf-8")
    key = again.split('"')[1]
    with pytest.raises(BaselineError, match=f"the key '{key}' is there more than once"):
        read_baseline(path)
    path.write_text(text.replace('"a": 0.25', '"a": 0.25, "a": 0.25'), "utf-8")
    with pytest.raises(BaselineError, match="the key 'a' is there more than once"):
        read_baseline(path)


def test_a_number_that_is_too_large_has_no_traceback(path: Path) -> None:
    edit_baseline(path, {"score": 10**400})
    with pytest.raises(BaselineError, match="not a baseline of schema 1"):
        read_baseline(path)


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


def test_a_link_is_followed_and_stays_a_link(path: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared" / "fvd.json"
    shared.parent.mkdir()
    path.replace(shared)
    path.symlink_to(shared)
    write_baseline(path, {"schema": 2})
    assert path.is_symlink()
    assert json.loads(shared.read_text("utf-8")) == {"schema": 2}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["fvd.json"]


def test_links_that_lead_to_themselves_are_an_error_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "baselines").symlink_to(tmp_path / "baselines")
    path = tmp_path / "baselines" / "bench" / "demo" / "fvd.json"
    with pytest.raises(BaselineError, match="cannot read the baseline"):
        read_baseline(path)
    with pytest.raises(BaselineError, match="cannot write the baseline"):
        write_baseline(path, BASELINE.to_json())
