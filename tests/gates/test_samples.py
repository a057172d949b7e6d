"""Cases to samples: globs, folders, pairing, rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.names import word_fault
from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id
from pytest_vidmetrics.gates.case import Case, Location
from pytest_vidmetrics.gates.listing import check_corpus, resolve_samples


def case(folder: Path, **facts: object) -> Case:
    media = {key: tuple(facts.pop(key)) for key in ("video", "reference", "audio") if key in facts}
    return Case("c", Location(folder / "m.vidmetrics.toml", 3), media, **facts)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def ids(corpus) -> list[str]:
    return [sample.id for sample in corpus.samples]


def test_a_folder_a_glob_a_file_and_a_list(tmp_path) -> None:
    touch(tmp_path, "v/b.mp4", "v/a.mp4", "v/notes.txt", "w/c.mp4")
    for patterns in (["v"], ["v/*.mp4"], ["v/a.mp4", "v/b.mp4"], ["v/b.mp4", "v/a.mp4", "v/*.mp4"]):
        assert ids(resolve_samples(case(tmp_path, video=patterns))) == ["a", "b"]
    assert ids(resolve_samples(case(tmp_path, video=["v", "w"]))) == ["a", "b", "c"]


def test_folders_of_frames_are_clips(tmp_path) -> None:
    touch(tmp_path, "v/one/0.png", "v/one/1.png", "v/two/0.png")
    assert ids(resolve_samples(case(tmp_path, video=["v"]))) == ["one", "two"]
    assert ids(resolve_samples(case(tmp_path, video=["v/one"]))) == ["one"]


def test_placeholders(tmp_path, monkeypatch) -> None:
    touch(tmp_path, "v/new/a.mp4")
    monkeypatch.setenv("VIDMETRICS_TEST_FOLDER", "v")
    found = resolve_samples(case(tmp_path, video=["{env:VIDMETRICS_TEST_FOLDER}/{checkpoint}/*.mp4"]), "new")
    assert found.samples[0].path == str(tmp_path / "v/new/a.mp4")
    assert ids(resolve_samples(case(tmp_path, video=["v/{checkpoint}"], checkpoint="new"))) == ["a"]


def test_pairs_by_stem_give_each_sample_its_reference(tmp_path) -> None:
    touch(tmp_path, "v/a.mp4", "v/b.mp4", "r/a.mkv", "r/b.mkv")
    corpus = resolve_samples(case(tmp_path, video=["v"], reference=["r"]))
    assert [s.values["reference"] for s in corpus.samples] == [str(tmp_path / f"r/{n}.mkv") for n in "ab"]
    assert [(r.id, r.role) for r in corpus.references] == [("a", "reference"), ("b", "reference")]


def test_sets_need_no_pairs(tmp_path) -> None:
    touch(tmp_path, "v/a.mp4", "r/x.mp4", "r/y.mp4")
    corpus = resolve_samples(case(tmp_path, video=["v"], reference=["r"], pair="set"))
    assert "reference" not in corpus.samples[0].values
    assert [r.id for r in corpus.references] == ["x", "y"]


def test_rows_are_joined_by_id_and_their_files_lie_beside_them(tmp_path) -> None:
    touch(tmp_path, "v/a b.mp4", "s/m.mp4")
    rows = [{"id": "a b", "text_prompt": "a cat", "video_mask": "m.mp4"}]
    (tmp_path / "s" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (sample,) = resolve_samples(case(tmp_path, video=["v"], samples="s/rows.jsonl", broadcast={"fps": 8})).samples
    assert sample.id == "a-b"
    assert sample.values["text_prompt"] == "a cat"
    assert sample.values["fps"] == 8
    assert sample.values["video_mask"] == str(tmp_path / "s/m.mp4")


def test_rows_alone_may_name_the_clips(tmp_path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": 2, "video": "b.mp4"}\n{"id": 1, "video": "a.mp4"}\n')
    corpus = resolve_samples(case(tmp_path, samples="rows.jsonl"))
    assert [(s.id, s.path) for s in corpus.samples] == [("1", str(tmp_path / "a.mp4")), ("2", str(tmp_path / "b.mp4"))]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"id": "a"}\n{"id": "A"}', r"rows.jsonl:2: the id 'A' is given twice \(first on line 1\)"),
        ('{"id": "a"}\n{"id": "z"}', "1 rows have no clip: z"),
        ('{"id": "b"}', "m.vidmetrics.toml:3: 1 rows have no clip: b"),
        ("[1]", "rows.jsonl:1: expected an object"),
        ('{"name": "a"}', "rows.jsonl:1: expected an object"),
        ("{", "rows.jsonl:1: not valid JSON"),
        ("", "holds no row"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, rows, message) -> None:
    touch(tmp_path, "v/a.mp4")
    (tmp_path / "rows.jsonl").write_text(rows)
    with pytest.raises(ManifestError, match=message):
        resolve_samples(case(tmp_path, video=["v"], samples="rows.jsonl"))


@pytest.mark.parametrize(
    "names", [("v/a.mp4", "v/a.mkv"), ("v/x y.mp4", "v/x_y.mp4", "v/x  y.mp4"), ("v/A.mp4", "v/a.mp4")]
)
def test_ids_that_collide(tmp_path, names) -> None:
    touch(tmp_path, *names)
    with pytest.raises(ManifestError, match="rename one of them"):
        resolve_samples(case(tmp_path, video=["v"]))


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=30))
def test_clean_ids_may_stand_in_a_test_id(text) -> None:
    id = clean_id(text)
    assert not any(char.isspace() or not char.isprintable() for char in id)
    assert not set("/\\:[]()*?\"'<>|,;!#&%@=+~`^$") & set(id)
    assert clean_id(id) == id
    if text.isascii():
        assert not word_fault(f"x{id}x"), "its letters are those of names; as a whole it names no file"


@pytest.mark.parametrize("text", ["aux", "CON", "nul.mp4", "com1.x", "a.", "x...", "x.json"])
def test_ids_that_may_not_name_a_file_are_ids_all_the_same(tmp_path, text) -> None:
    """No file of ours is called after a sample: what systems reserve, or drop at the end of a name, stays."""
    assert word_fault(text)
    assert clean_id(text) == text
    touch(tmp_path, "v/one.mp4")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": text, "video": "v/one.mp4"}) + "\n")
    corpus = resolve_samples(case(tmp_path, samples="rows.jsonl"))
    assert [sample.id for sample in corpus.samples] == [text]


stems = st.lists(st.sampled_from([f"c{i}" for i in range(8)]), unique=True, min_size=1)


@settings(max_examples=40, deadline=None)
@given(left=stems, right=stems)
def test_pairing_is_complete_or_an_error_that_counts_the_orphans(left, right, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    touch(folder, *(f"v/{name}.mp4" for name in left), *(f"r/{name}.mp4" for name in right))
    chosen = case(folder, video=["v"], reference=["r"])
    if set(left) == set(right):
        assert ids(resolve_samples(chosen)) == sorted(left)
    else:
        with pytest.raises(ManifestError, match="orphans") as caught:
            resolve_samples(chosen)
        for name in set(left) ^ set(right):
            assert name in str(caught.value) or "more" in str(caught.value)


def test_signs_of_patterns_in_names_are_names(tmp_path, monkeypatch) -> None:
    bracketed = tmp_path / "run[12]"
    touch(tmp_path, "run1/v/step1/a.mp4")
    touch(bracketed, "v/step[1]/b.mp4", "v/step1/c.mp4", "v/d[1].mp4")
    monkeypatch.setenv("VIDMETRICS_TEST_FOLDER", "step[1]")
    assert ids(resolve_samples(case(bracketed, video=["v/step1/*.mp4"]))) == ["c"]
    for pattern in ("v/{checkpoint}/*.mp4", "v/{checkpoint}", "v/{env:VIDMETRICS_TEST_FOLDER}/*.mp4"):
        found = resolve_samples(case(bracketed, video=[pattern]), "step[1]")
        assert [sample.path for sample in found.samples] == [str(bracketed / "v/step[1]/b.mp4")]
    assert ids(resolve_samples(case(bracketed, video=["v/d[1].mp4"]))) == ["d-1"]
    absolute = str(tmp_path / "run1" / "v" / "*" / "*.mp4")
    assert ids(resolve_samples(case(bracketed, video=[absolute]))) == ["a"]


def test_what_is_no_pattern_is_said_with_its_line(tmp_path) -> None:
    touch(tmp_path, "v/a.mp4")
    with pytest.raises(ManifestError, match=r"m\.vidmetrics\.toml:3: .*v/\*\*\.mp4"):
        resolve_samples(case(tmp_path, video=["v/**.mp4"]))


@pytest.mark.parametrize(
    ("supplied", "reason"),
    [
        ([Sample("a")], "must return a Corpus"),
        (Corpus((Sample("a"), Sample("A"))), "the id 'A' twice"),
        (Corpus((Sample("a"),), (Sample("r"), Sample("r"))), "references has the id 'r' twice"),
        (Corpus((Sample("a", only=frozenset()),)), "'a' is for no metric"),
        (Corpus(("a",)), "not a Sample"),
    ],
)
def test_a_supplied_corpus_is_checked(tmp_path, supplied, reason) -> None:
    with pytest.raises(ManifestError, match=reason):
        check_corpus(supplied, Location(tmp_path / "m.vidmetrics.toml", 3))


def test_a_supplied_generator_is_read_once(tmp_path) -> None:
    made = check_corpus(Corpus(Sample(id) for id in "ab"), Location(tmp_path / "m.vidmetrics.toml", 3))
    assert ids(made) == ids(made) == ["a", "b"]


def test_paths_of_a_supplied_corpus_become_text(tmp_path) -> None:
    supplied = Corpus((Sample("a", {"video": tmp_path / "a.mp4", "fps": 8}),))
    made = check_corpus(supplied, Location(tmp_path / "m.vidmetrics.toml", 3))
    assert made.samples[0].values == {"video": str(tmp_path / "a.mp4"), "fps": 8}
