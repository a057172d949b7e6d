"""Rows of cases that engines score: columns with the samples, references and errors that other cases have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.hashing import digest_json, digest_list
from pytest_vidmetrics.core.samples import SampleTable
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest

ROWS = [
    {"id": "b10", "video": "b10.mp4", "reference": "r.mp4", "text_prompt": "a"},
    {"id": "b9", "video": "b9.mp4", "reference": "r.mp4"},
    {"id": "a b", "video": "a.mp4", "reference": "other.mp4", "seed": 3},
    {"video": "clips/unnamed.mp4", "metrics": ["common.psnr"]},
]


def corpus(folder: Path, rows: list[dict[str, Any]], scoring: str) -> Any:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = folder / "a.vidmetrics.toml"
    manifest.write_text(
        f'schema = 1\n[case.c]\nsamples = "rows.jsonl"\nscoring = "{scoring}"\nmetrics = ["common.psnr"]\nfps = 8\n'
    )
    return resolve_samples(load_manifest(manifest).cases[0])


def test_columns_hold_what_samples_hold(tmp_path: Path) -> None:
    plain, columns = corpus(tmp_path, ROWS, "items"), corpus(tmp_path, ROWS, "engine")
    assert isinstance(columns.samples, SampleTable)
    assert tuple(columns.samples) == plain.samples
    assert tuple(columns.references) == plain.references
    assert columns.remarks == plain.remarks
    assert [one.id for one in columns.samples] == ["a-b", "b9", "b10", "unnamed"]
    assert columns.samples[1:3] == plain.samples[1:3]
    for metric in ("common.psnr", "common.ssim"):
        assert tuple(columns.of(metric).samples) == plain.of(metric).samples


@pytest.mark.parametrize(
    "rows",
    [
        [*ROWS, {"id": "B9", "video": "x.mp4"}],
        [*ROWS, {"id": "a-b", "video": "x.mp4"}],
        [{"id": "a-b", "video": "x.mp4"}, *ROWS],
        [*ROWS, {"id": "a  b", "video": "x.mp4"}],
        [{"id": "x", "video": 3}],
        [],
    ],
)
def test_what_is_wrong_in_samples_is_wrong_in_columns(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    said = []
    for scoring in ("items", "engine"):
        with pytest.raises(ManifestError) as caught:
            corpus(tmp_path, rows, scoring)
        said.append(str(caught.value))
    assert said[0].partition(" (")[0] == said[1].partition(" (")[0] or ("same id" in said[0] and "same id" in said[1])


@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=3)))
def test_a_list_that_is_never_whole_has_the_digest_of_the_whole(values: list[Any]) -> None:
    assert digest_list(iter(values)) == digest_json(values)
