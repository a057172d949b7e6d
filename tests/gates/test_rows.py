"""Sample lists: formats, schemas of others, types, and the line of every fault."""

from __future__ import annotations

import json

import pytest

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from tests.gates.test_samples import case, ids, touch

GUIDE = [{"video_id": "0001", "category": "dance", "caption": "a dancer", "path": "v/0001.mp4", "frame_path": "f.png"}]
FOLDER = [{"file_name": "v/0001.mp4", "text": "a dancer"}]
VALIDATION = [{"caption": "a dancer", "image_path": "f.png", "video_path": "v/0001.mp4", "num_frames": 81}]
I2V = [{"file_name": "f.png", "type": "indoor", "caption": "a dancer", "url": "x", "diff_ratio_crop": {"1-1": "f.png"}}]
I2V_INFO = [{"image_name": "f.png", "prompt_en": "a dancer", "dimension": ["i2v_subject"], "image_type": "indoor"}]
GROUND = [{"id": 7, "prompt": "a dancer", "video": "v/0001.mp4"}]


@pytest.mark.parametrize(
    ("name", "rows", "rename", "id"),
    [
        (
            "r.jsonl",
            GUIDE,
            {"video_id": "id", "caption": "text_prompt", "path": "video", "frame_path": "image_path"},
            "0001",
        ),
        ("r.csv", FOLDER, {"file_name": "video", "text": "text_prompt"}, "0001"),
        ("r.json", {"data": VALIDATION}, {"caption": "text_prompt", "video_path": "video"}, "0001"),
        ("r.json", I2V, {"file_name": "image_path", "caption": "text_prompt"}, "f"),
        ("r.json", I2V_INFO, {"image_name": "image_path", "prompt_en": "text_prompt"}, "f"),
        ("r.json", GROUND, {"prompt": "text_prompt"}, "7"),
    ],
)
def test_rows_of_other_schemas_load_with_a_table_of_names(tmp_path, name, rows, rename, id) -> None:
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]))
    elif name.endswith(".jsonl"):
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        path.write_text(json.dumps(rows, indent=1))
    (sample,) = resolve_samples(case(tmp_path, samples=name, rename=rename)).samples
    assert (sample.id, sample.values["text_prompt"]) == (id, "a dancer")
    for key in ("video", "image_path"):
        assert sample.values.get(key, str(tmp_path)).startswith(str(tmp_path))


def test_rows_of_parquet_are_those_of_json_lines(tmp_path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rename = {"video_id": "id", "caption": "text_prompt", "path": "video", "frame_path": "image_path"}
    rows = [{**GUIDE[0], "video_id": f"000{n}", "fps": 8.0, "note": None} for n in range(3)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "r.parquet")
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [resolve_samples(case(tmp_path, samples=name, rename=rename)) for name in ("r.parquet", "r.jsonl")]
    assert found[0].samples == found[1].samples
    rows[2]["fps"] = -1.0
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "r.parquet")
    with pytest.raises(ManifestError, match=r"r\.parquet:3: fps must be"):
        resolve_samples(case(tmp_path, samples="r.parquet", rename=rename))
    whole = (tmp_path / "r.parquet").read_bytes()
    (tmp_path / "r.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ManifestError, match=r"m\.vidmetrics\.toml:3: samples: .*r\.parquet"):
        resolve_samples(case(tmp_path, samples="r.parquet", rename=rename))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a", "fps": 0}', "fps must be a number of frames per second above 0, got 0"),
        ('{"id": "a", "fps": -24}', "fps must be .* above 0, got -24"),
        ('{"id": "a", "fps": NaN}', "NaN is not a number"),
        ('{"id": "a", "fps": "24"}', "fps must be .* got '24'"),
        ('{"id": "a", "fps": true}', "fps must be .* got True"),
        ('{"id": "a", "reference_fps": 0}', "reference_fps must be"),
        ('{"id": "a", "fps": 1e999}', "fps must be .* got inf"),
        ('{"id": "a", "fps": 1' + "0" * 400 + "}", "fps must be .* above 0"),
        ('{"id": ""}', "id must be text or a whole number, got ''"),
        ('{"id": "  "}', "id must be text or a whole number"),
        ('{"id": true}', "id must be text or a whole number, got True"),
        ('{"id": 1.5}', "id must be text or a whole number, got 1.5"),
        ('{"id": ["a"]}', "id must be text or a whole number"),
        (r'{"id": "a\u0000b"}', "id holds a NUL"),
        (r'{"id": "a\ud800"}', "id holds half a character"),
        ('{"id": "a", "reference": ["x.mp4"]}', "reference must be the path of a file, got \\['x.mp4'\\]"),
        ('{"id": "a", "reference": ""}', "reference must be the path of a file, got ''"),
        (r'{"id": "a", "reference": "x\u0000.mp4"}', "reference holds a NUL"),
        ('{"id": "a", "reference": "{x}.mp4"}', "unknown placeholder {x}"),
        ('{"id": "a", "text_prompt": 3}', "text_prompt must be text, got 3"),
        ('{"id": "a", "text_prompt": ["x"]}', "text_prompt must be text"),
        ('{"id": "a", "auxiliary_info": "red"}', "auxiliary_info must be a table, got 'red'"),
        ('{"id": "a", "auxiliary_info": {"x": [1e400]}}', "auxiliary_info holds a number that is not finite"),
        ('{"id": "a", "mouse_pitch_sign": "-"}', "mouse_pitch_sign must be a number"),
        ('{"id": "a", "metrics": 3}', "metrics must be a name or a list of names"),
        ('{"id": "a", "metrics": []}', "metrics must be a name or a list of names"),
        ('{"id": "a", "id": "b"}', "the key 'id' is given twice"),
        ('{"id": "a", "video": "other.mp4"}', "the row and the case both name its video"),
        ('{"id": "a", "deep": ' + "[" * 60 + "]" * 60 + "}", "deep holds tables inside tables"),
        ("3", "expected an object"),
    ],
)
def test_a_row_is_typed_and_its_line_named(tmp_path, line, message) -> None:
    touch(tmp_path, "v/a.mp4", "v/b.mp4")
    (tmp_path / "rows.jsonl").write_text(f'{{"id": "b"}}\n\n{line}\n')
    with pytest.raises(ManifestError, match=rf"rows\.jsonl:3: .*{message}"):
        resolve_samples(case(tmp_path, video=["v"], samples="rows.jsonl"))


def test_separators_of_unicode_and_marks_of_windows_do_not_split_rows(tmp_path) -> None:
    touch(tmp_path, "v/a.mp4", "v/b.mp4")
    rows = [{"id": "a", "text_prompt": "one\u2028two\x85three"}, {"id": "b", "text_prompt": "x"}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    corpus = resolve_samples(case(tmp_path, video=["v"], samples="rows.jsonl"))
    assert [sample.values["text_prompt"] for sample in corpus.samples] == [row["text_prompt"] for row in rows]


def test_keys_that_no_metric_reads_are_named_once(tmp_path) -> None:
    rows = [{"id": n, "video": f"{n}.mp4", "txt_prompt": "x", "url": "y", "seed": 3} for n in range(4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    corpus = resolve_samples(case(tmp_path, samples="rows.jsonl", cluster="seed"))
    assert ids(corpus) == ["0", "1", "2", "3"]
    (remark,) = corpus.remarks
    assert remark.endswith("rows.jsonl: no metric reads txt_prompt (did you mean 'text_prompt'?), url")


def test_empty_values_of_a_row_are_no_values(tmp_path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "video": "a.mp4", "fps": null, "text_prompt": null}')
    (sample,) = resolve_samples(case(tmp_path, samples="rows.jsonl", broadcast={"fps": 8})).samples
    assert sample.values["fps"] == 8
    assert "text_prompt" not in sample.values


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.csv", "id,fps\na,0\n", r"r\.csv:2: fps must be"),
        ("r.csv", 'id,text_prompt\n"a\nb",x\nc\n', r"r\.csv:4: 1 cells, but 2 columns"),
        ("r.csv", "id,id\na,b\n", r"r\.csv:1: the column 'id' is given twice"),
        ("r.csv", 'id\n"a\n', r"r\.csv:\d: not valid CSV"),
        ("r.json", '{"rows": []}', r"r\.json:1: expected a list"),
        ("r.json", '[{"id": "a"},\n3]', r"r\.json:2: expected an object"),
        ("r.json", '[{"id": "a"},\n{"id": "a"}]', r"r\.json:2: the id 'a' is given twice \(first on line 1\)"),
        ("r.txt", "{}", r"m\.vidmetrics\.toml:3: samples: .*r\.txt must end in \.jsonl, \.json, \.csv or \.parquet"),
        ("r.parquet", "PAR1", r"m\.vidmetrics\.toml:3: samples: .*r\.parquet: "),
        ("r.jsonl", None, r"r\.jsonl:1: cannot read it"),
        ("r.json", "[]", r"m\.vidmetrics\.toml:3: samples: .* holds no row"),
    ],
)
def test_lists_that_do_not_parse(tmp_path, name, text, message) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=message):
        resolve_samples(case(tmp_path, samples=name))


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ("{prompt = 'text_promt'}", "'text_promt' is not a sample key; did you mean 'text_prompt'"),
        ("{a = 'id', b = 'id'}", "'id' is given to two keys"),
        ("{a = 3}", "rename must be a table of texts"),
        ("'id'", "rename must be a table of texts"),
    ],
)
def test_renames_that_do_not_fit(tmp_path, rename, message) -> None:
    path = tmp_path / "m.vidmetrics.toml"
    path.write_text(f"schema = 1\n[case.a]\nsamples = 'r.jsonl'\nrename = {rename}\n")
    with pytest.raises(ManifestError, match=rf"m\.vidmetrics\.toml:4: .*{message}"):
        load_manifest(path)


def test_a_renamed_key_must_be_there_and_meet_no_other(tmp_path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id": "a", "caption": "x", "text_prompt": "y"}')
    for rename, message in (
        ({"captoin": "text_prompt"}, "no row has the key 'captoin'; did you mean 'caption'"),
        ({"caption": "text_prompt"}, r"r\.jsonl:1: two keys of the row are 'text_prompt'"),
    ):
        with pytest.raises(ManifestError, match=message):
            resolve_samples(case(tmp_path, samples="r.jsonl", rename=rename))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fps = 0", "fps must be"),
        ("fps = nan", "case.a.fps must be"),
        ("text_prompt = 2024-01-02", "case.a.text_prompt is a date"),
    ],
)
def test_values_of_a_case_are_typed_too(tmp_path, value, message) -> None:
    path = tmp_path / "m.vidmetrics.toml"
    path.write_text(f"schema = 1\n[case.a]\nvideo = 'v'\n{value}\n")
    with pytest.raises(ManifestError, match=rf"m\.vidmetrics\.toml:4: {message}"):
        load_manifest(path)
