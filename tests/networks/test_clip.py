from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.networks.clip.tokenizer import END, START, ClipTokenizer, clean, words
from pytest_vidmetrics.networks.clip.towers import ClipText
from tests.support.oracle_fill import fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "vbench"
ORACLE = json.loads((DATA / "viclip_tokenizer.json").read_text())["expected"]


@pytest.fixture(scope="module")
def tokenizer():
    touched = ORACLE["merge_ranks_touched"]
    return ClipTokenizer({tuple(pair.split(" ")): rank for pair, rank in touched.items()})


@pytest.mark.parametrize("case", ORACLE["texts"], ids=lambda case: case["text"][:20])
def test_token_ids_match_upstream(tokenizer, case):
    assert tokenizer.encode(case["text"]) == case["bpe_ids_without_markers"]
    row = tokenizer.row(case["text"], 32)
    assert row == case["viclip_row_32"]
    assert row.index(max(row)) == case["eot_position_argmax"]
    prefix = case["clip_row_77_nonzero_prefix"]
    assert tokenizer.row(case["text"], 77) == prefix + [0] * (77 - len(prefix))


def test_a_merges_file_gives_the_same_ids(tmp_path, tokenizer):
    plain, packed = tmp_path / "merges.txt", tmp_path / "bpe.txt.gz"
    text = "#version: 0.2\ni n\nt h\nin g</w>\n"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (plain, packed):
        assert ClipTokenizer.from_file(path).encode("thing") == [512 + 1, 512 + 2]


def test_text_is_cleaned_like_upstream():
    assert clean("  A\u2019s \ufb01ne &amp;amp; \uff21\n B ") == "a's fine & a b"
    assert list(words("don't stop 24fps!? <|endoftext|>")) == [
        "don",
        "'t",
        "stop",
        "2",
        "4",
        "fps",
        "!?",
        "<|endoftext|>",
    ]


def test_too_long_text_is_cut_or_refused(tokenizer):
    row = tokenizer.row("a " * 100, 77)
    assert len(row) == 77
    assert (row[0], row[-1]) == (START, END)
    with pytest.raises(ValueError, match="102 tokens, at most 77"):
        tokenizer.row("a " * 100, 77, truncate=False)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=40))
def test_every_text_has_a_row(text):
    row = ClipTokenizer({}).row(text, 32)
    assert len(row) == 32
    assert row[0] == START
    assert END in row
    assert all(0 <= token <= END for token in row)


def test_text_features_match_upstream():
    with gzip.open(DATA / "appearance_style_shallow.keys.json.gz", "rt") as stream:
        shapes = {key: tuple(value[0]) for key, value in json.load(stream).items() if key.startswith("text_")}
    text = ClipText(fill_state_dict(shapes))
    texts = json.loads((DATA / "appearance_style_shallow.json").read_text())["expected"]["texts"]
    arrays = np.load(DATA / "appearance_style_shallow.npz")
    rows = [case["token_ids"] + [0] * (77 - len(case["token_ids"])) for case in texts]
    found = text(rows).numpy()
    for i in range(len(texts)):
        np.testing.assert_allclose(found[i], arrays[f"text{i}_features"], atol=2e-5)
