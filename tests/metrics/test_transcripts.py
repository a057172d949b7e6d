"""The text side of audio.wer against recorded cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.metrics.audio.languages import by_character, by_character_in_fastvideo, language_code
from pytest_vidmetrics.metrics.audio.transcripts import Errors, count, has_characters, normalise, units

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "audio" / "wer.json").read_text())["expected"]
COMPAT = {"fixed": by_character, "fastvideo": by_character_in_fastvideo}


@pytest.mark.parametrize("compat", COMPAT)
@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda case: f"{case['reference'][:12]!r}-{case['language']}")
def test_recorded_pairs(case, compat):
    differs = compat == "fixed" and "required" in case
    expected = {**case, **case["required"]} if differs else case
    reference, transcript = normalise(case["reference"]), normalise(case["hypothesis"])
    assert (reference, transcript) == (case["normalised_reference"], case["normalised_hypothesis"])
    known = COMPAT[compat](case["language"])
    characters = known if known is not None else has_characters(reference) or has_characters(transcript)
    assert characters == expected["char_level"]
    found = units(reference, characters=characters), units(transcript, characters=characters)
    assert [" ".join(words) for words in found] == expected["wer_inputs"]
    errors = count(*found)
    assert errors.rate == expected["wer"]
    if "counts" in case and not differs:
        assert {name: getattr(errors, name) for name in case["counts"]} == case["counts"]


@pytest.mark.parametrize("row", ORACLE["language_table"], ids=lambda row: repr(row["language"]))
def test_languages(row):
    assert by_character(row["language"]) is row["required_char_level"]
    assert by_character_in_fastvideo(row["language"]) is row["reference_char_level"]


@pytest.mark.parametrize(
    ("hint", "code"), [("cmn-Hans", "zh"), ("Mandarin", "zh"), ("JP", "ja"), (" pt_BR ", "pt"), ("Klingon", None)]
)
def test_codes(hint, code):
    assert language_code(hint) == code


words = st.lists(st.sampled_from(["a", "b", "c", "dd"]), max_size=8)


@settings(deadline=None, max_examples=60)
@given(reference=words, transcript=words)
def test_counts_add_up(reference, transcript):
    errors = count(reference, transcript)
    assert errors.reference_length == len(reference)
    assert errors.hits + errors.substitutions + errors.insertions == len(transcript)
    assert errors.total >= abs(len(reference) - len(transcript))
    assert (errors.total == 0) == (reference == transcript)
    assert Errors.sum([errors, errors]).total == 2 * errors.total


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=30))
def test_normalising_leaves_single_spaces(text):
    once = normalise(text)
    assert once == once.strip()
    assert "  " not in once
    assert not set(once) & set(",.!?'-")
