"""Text files: one reader, lines at line feeds only, errors with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.text import TextError, json_items, json_lines, parse_json, read_text


def test_marks_and_line_ends_of_windows_are_no_content(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1}\r\n\r\n{"id": 2}\r\n')
    assert list(json_lines(path)) == [(1, {"id": 1}), (3, {"id": 2})]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\x0c"])
def test_other_separators_may_stand_inside_a_text(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": "a", "text_prompt": f"one{sign}two"}, {"id": "b"}]
    text = "\n".join(json.dumps(row, ensure_ascii=ord(sign) < 32) for row in rows)
    path.write_bytes(text.encode())
    assert list(json_lines(path)) == [(1, rows[0]), (2, rows[1])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"id": 1}\n{"id": "\xff"}', r"a\.jsonl:2: not UTF-8 text \(byte 0xff\)"),
        ('{"id": 1}'.encode("utf-16"), r"a\.jsonl:1: not UTF-8 text \(it is UTF-16\); save it as UTF-8"),
        (b'{"id": 1}\n\n{"id": 1, "id": 2}', r"a\.jsonl:3: not valid JSON: the key 'id' is given twice"),
        (b'{"fps": NaN}', r"a\.jsonl:1: not valid JSON: NaN is not a number"),
        (b'1\n{"fps": -Infinity}', r"a\.jsonl:2: not valid JSON: -Infinity is not a number"),
        (b'{"fps": ' + b"1" * 5000 + b"}", r"a\.jsonl:1: not valid JSON: a number of too many digits"),
        (b"[" * 200_000, r"a\.jsonl:1: not valid JSON: nested too deeply"),
        (b"{", r"a\.jsonl:1: not valid JSON: Expecting property name"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(TextError, match=message):
        list(json_lines(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("absent.json", ".", "a\0b"):
        with pytest.raises(TextError, match=r"cannot read|not the name of a file"):
            read_text(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1},\n\n {"a": 2} ]',
        '{"info": 1,\n"data":\n[{"a": 1}\n,{"a": 2}]}',
        '{"x": "\\"data\\": [3]",\n"data": [{"a": 1},\n{"a": 2}]}',
    ],
)
def test_items_of_a_list_have_their_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    found = [*json_items(path)]
    assert [row for _, row in found] == [{"a": 1}, {"a": 2}]
    for line, row in found:
        assert json.dumps(row) in text.split("\n")[line - 1]


def test_a_list_under_an_escaped_key_is_read_without_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\n{"d\\u0061ta": [{"a": 1}]}')
    assert list(json_items(path)) == [(1, {"a": 1})]


def test_what_is_no_list_of_items(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ('{"prompt": "x"}', "3", '{"data": 3}'):
        path.write_text(text)
        with pytest.raises(TextError, match=r"a\.json:1: expected a list"):
            list(json_items(path))


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60))
def test_text_that_is_no_json_is_an_error_with_its_line(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        with pytest.raises(TextError, match=r"^a\.json:\d+: "):
            parse_json(text, Path("a.json"))
