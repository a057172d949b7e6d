"""Names as people have them: any script, any length, two spellings of one letter, signs of patterns, and pairs."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.samples import clean_id, shown_id
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from tests.gates.test_samples import case, ids, touch


def pairs(corpus) -> dict[str, str]:
    return {Path(sample.path).name: Path(sample.values["reference"]).name for sample in corpus.samples}


def test_names_of_any_script_keep_their_letters(tmp_path) -> None:
    names = ["猫", "狗", "кот", "แมว", "बिल्ली", "🐱", "🐶", "año", "猫_001", "犬_001"]
    touch(tmp_path, *(f"v/{name}.mp4" for name in names), *(f"r/{name}.mkv" for name in names))
    corpus = resolve_samples(case(tmp_path, video=["v"], reference=["r"]))
    assert set(ids(corpus)) == set(names)
    assert pairs(corpus) == {f"{name}.mp4": f"{name}.mkv" for name in names}


def test_a_pair_needs_the_whole_name(tmp_path) -> None:
    touch(tmp_path, "v/猫_001.mp4", "r/犬_001.mp4")
    with pytest.raises(ManifestError, match=r"1 video without reference: 猫_001; 1 reference without video: 犬_001"):
        resolve_samples(case(tmp_path, video=["v"], reference=["r"]))
    touch(tmp_path, "a/x y.mp4", "b/x-y.mp4")
    with pytest.raises(ManifestError, match="orphans"):
        resolve_samples(case(tmp_path, video=["a"], reference=["b"]))


def test_composed_and_decomposed_letters_are_one_name(tmp_path) -> None:
    composed, apart = (unicodedata.normalize(form, "café_é") for form in ("NFC", "NFD"))
    touch(tmp_path, f"v/{apart}.mp4", f"r/{composed}.mp4")
    (tmp_path / "rows.jsonl").write_text(f'{{"id": "{apart}", "text_prompt": "x"}}', encoding="utf-8")
    (sample,) = resolve_samples(case(tmp_path, video=["v"], reference=["r"], samples="rows.jsonl")).samples
    assert sample.id == composed
    touch(tmp_path, f"v/{composed}.mp4")
    with pytest.raises(ManifestError, match="have the same id"):
        resolve_samples(case(tmp_path, video=["v"]))


def test_ids_that_one_text_would_stand_for_are_refused(tmp_path) -> None:
    touch(tmp_path, "v/a (1).mp4", "v/a [1].mp4")
    with pytest.raises(ManifestError, match=r"'a \(1\)' and 'a \[1\]' have the same id \('a-1'\); rename one"):
        resolve_samples(case(tmp_path, video=["v"]))


def test_long_names_are_cut_on_screen_only(tmp_path) -> None:
    names = ["猫" * 80, "猫" * 79 + "犬"]
    touch(tmp_path, *(f"v/{name}.mp4" for name in names))
    assert set(ids(resolve_samples(case(tmp_path, video=["v"])))) == set(names)
    shown = [shown_id(name) for name in names]
    assert len(set(shown)) == 2
    for text in shown:
        assert len(text.encode()) <= 96
        assert text == clean_id(text.replace("~", "-")).replace("-", "~")
    assert shown_id("clip_003") == "clip_003"


def test_names_that_are_no_text_are_refused(tmp_path) -> None:
    (tmp_path / "v").mkdir()
    try:
        Path(str(tmp_path / "v") + "/caf\udce9.mp4").touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(ManifestError, match="half a character"):
        resolve_samples(case(tmp_path, video=["v"]))


def test_clips_are_listed_in_the_order_of_their_numbers(tmp_path) -> None:
    touch(tmp_path, *(f"v/{number}.mp4" for number in range(12)))
    for pattern in ("v", "v/*.mp4", "v/{id}.mp4"):
        assert ids(resolve_samples(case(tmp_path, video=[pattern]))) == [str(number) for number in range(12)]


def test_numbered_clips_are_not_paired_by_position(tmp_path) -> None:
    touch(tmp_path, *(f"v/{n}.mp4" for n in range(12)), *(f"r/clip_{n:02}.mp4" for n in range(12)))
    with pytest.raises(ManifestError, match="12 video without reference: 0, 1, 2, 3, 4 and 7 more"):
        resolve_samples(case(tmp_path, video=["v"], reference=["r"]))


@pytest.mark.parametrize(
    ("pair", "video", "reference"),
    [
        ("{id}_wan.mp4", "wan/*_wan.mp4", "real/*.mp4"),
        ("{id}_wan", "wan", "real"),
        ("stem", "wan/{id}_wan.mp4", "real/{id}.mp4"),
        ("stem", "{checkpoint}/{id}_{checkpoint}.mp4", "real"),
    ],
)
def test_a_pattern_says_which_part_of_a_name_is_the_id(tmp_path, pair, video, reference) -> None:
    touch(tmp_path, "wan/a_1_wan.mp4", "wan/b_wan.mp4", "real/a_1.mp4", "real/b.mp4")
    corpus = resolve_samples(case(tmp_path, video=[video], reference=[reference], pair=pair), "wan")
    assert ids(corpus) == ["a_1", "b"]
    assert pairs(corpus) == {"a_1_wan.mp4": "a_1.mp4", "b_wan.mp4": "b.mp4"}


@pytest.mark.parametrize(
    ("pair", "video", "reference"),
    [
        ("{category}/{id}_wan.mp4", "out/*/*.mp4", "real/*/*.mp4"),
        ("{category}/{id}_wan.mp4", "out/**/*.mp4", "real/**/*.mp4"),
        ("stem", "out/{category}/{id}_wan.mp4", "real/{category}/{id}.mp4"),
    ],
)
def test_categories_are_part_of_the_name_and_a_value(tmp_path, pair, video, reference) -> None:
    for category in ("dance", "sport"):
        touch(tmp_path, f"out/{category}/0001_wan.mp4", f"real/{category}/0001.mp4")
    rows = [{"id": "0001", "category": category, "text_prompt": category[0]} for category in ("sport", "dance")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    chosen = case(tmp_path, video=[video], reference=[reference], pair=pair, samples="rows.jsonl", cluster="category")
    corpus = resolve_samples(chosen)
    assert ids(corpus) == ["dance-0001", "sport-0001"]
    assert [sample.values["category"] for sample in corpus.samples] == ["dance", "sport"]
    assert [sample.values["text_prompt"] for sample in corpus.samples] == ["d", "s"]
    assert [Path(sample.values["reference"]).parts[-2] for sample in corpus.samples] == ["dance", "sport"]


def test_several_seeds_share_the_reference_of_their_prompt(tmp_path) -> None:
    touch(tmp_path, "v/cat/0.mp4", "v/cat/1.mp4", "v/dog/0.mp4", "r/cat.mp4", "r/dog.mp4")
    corpus = resolve_samples(case(tmp_path, video=["v/{id}/{seed}.mp4"], reference=["r/{id}.mp4"]))
    assert [(s.id, Path(s.values["reference"]).stem) for s in corpus.samples] == [
        ("cat-0", "cat"),
        ("cat-1", "cat"),
        ("dog-0", "dog"),
    ]
    assert [Path(one.path).stem for one in corpus.references] == ["cat", "dog"]


def test_what_does_not_fit_a_pattern_is_named(tmp_path) -> None:
    touch(tmp_path, "v/a_wan.mp4", "v/b_ltx.mp4", "r/a.mp4")
    with pytest.raises(ManifestError, match=r"1 video do not fit pair = '\{id\}_wan': .*b_ltx\.mp4"):
        resolve_samples(case(tmp_path, video=["v"], reference=["r"], pair="{id}_wan"))
    touch(tmp_path, "w/a_wan.mp4", "w/c_wan.mp4")
    with pytest.raises(ManifestError, match=r"by '\{id\}_wan' leaves orphans: 1 video without reference: c"):
        resolve_samples(case(tmp_path, video=["w"], reference=["r"], pair="{id}_wan"))


@pytest.mark.parametrize(
    ("text", "name"),
    [("v/{{draft}}.mp4", "{draft}"), ("v/{{*.mp4", "{open"), ("v/{{{checkpoint}}}.mp4", "{new}"), ("v/a}}.mp4", "a}")],
)
def test_braces_of_names_are_written_twice(tmp_path, text, name) -> None:
    touch(tmp_path, f"v/{name}.mp4")
    (sample,) = resolve_samples(case(tmp_path, video=[text]), "new").samples
    assert Path(sample.path).stem == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v/{draft}.mp4", r"unknown placeholder \{draft\}; write \{\{draft\}\} for braces in a name"),
        ("v/{chekpoint}.mp4", r"unknown placeholder \{chekpoint\}; did you mean 'checkpoint'\?"),
        ("v/{chekpoint}/{id}.mp4", r"unknown placeholder \{chekpoint\}; did you mean 'checkpoint'\?"),
        ("v/{open.mp4", r"a brace alone; write \{\{ for \{"),
        ("v/{env:VIDMETRICS_TEST_EMPTY}/*.mp4", r"\{env:VIDMETRICS_TEST_EMPTY\} is empty"),
        ("v/{checkpoint}/*.mp4", r"\{checkpoint\} is empty"),
        ("v/[x] *.mp4", r"matches no file.*\[ \] stand for one letter, and \[\[\] for an opening bracket"),
        ("v/" + "猫" * 100, "cannot look for .*name too long"),
        ("v/a\0.mp4", "cannot look for"),
    ],
)
def test_patterns_that_are_wrong_say_how_they_are_written(tmp_path, monkeypatch, text, message) -> None:
    touch(tmp_path, "v/[a] b.mp4")
    monkeypatch.setenv("VIDMETRICS_TEST_EMPTY", "")
    with pytest.raises(ManifestError, match=rf"(?i)m\.vidmetrics\.toml:3: .*{message}"):
        resolve_samples(case(tmp_path, video=[text]), "")


def test_brackets_in_a_glob_hint_at_the_files_that_were_meant(tmp_path) -> None:
    touch(tmp_path, "v/[a] b1.mp4", "v/[a] b2.mp4")
    with pytest.raises(ManifestError, match=r"stand for one letter: write 'v/\[\[\]a\] b\*\.mp4'"):
        resolve_samples(case(tmp_path, video=["v/[a] b*.mp4"]))
    assert ids(resolve_samples(case(tmp_path, video=["v/[[]a] b*.mp4"]))) == ["a-b1", "a-b2"]


def test_what_is_left_out_of_a_folder_is_said(tmp_path) -> None:
    touch(tmp_path, "v/a.mp4", "v/a.png", "v/a.wav", "v/._a.mp4", "v/notes.txt", "v/preview.png", "v/other/x.mp4")
    for suffix in (".m4v", ".ts", ".mpg"):
        touch(tmp_path, f"v/b{suffix[1:]}{suffix}")
    corpus = resolve_samples(case(tmp_path, video=["v"]))
    assert ids(corpus) == ["a", "bm4v", "bmpg", "bts"]
    assert [remark.split("/")[-1] for remark in corpus.remarks] == [
        "preview.png is left out: a picture beside .mp4 clips",
        "other is left out: a folder beside clips",
    ]
    corpus = resolve_samples(case(tmp_path, video=["v/*"]))
    assert "._a" not in " ".join(ids(corpus))
    assert any("notes.txt is left out: not a clip" in remark for remark in corpus.remarks)


def test_the_schema_knows_patterns_of_pairs(tmp_path) -> None:
    path = tmp_path / "m.vidmetrics.toml"
    path.write_text("schema = 1\n[case.a]\nvideo = 'v'\npair = '{category}/{id}_wan.mp4'\n")
    assert load_manifest(path).cases[0].pair == "{category}/{id}_wan.mp4"
    for wrong in ("{category}/x", "{id", "stm"):
        path.write_text(f"schema = 1\n[case.a]\nvideo = 'v'\npair = '{wrong}'\n")
        with pytest.raises(ManifestError, match=r"m\.vidmetrics\.toml:4: .*(pair must be one of stem, set|a brace)"):
            load_manifest(path)
