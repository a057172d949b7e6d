"""The text side of audio.wer against recorded cases."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.metrics.audio.languages import by_character, by_character_in_fastvideo, language_code
from pytest_vidmetrics.metrics.audio.transcripts import (
    Errors,
    count,
    has_characters,
    has_characters_in_fastvideo,
    in_english,
    normalise,
    normalise_as_fastvideo,
    units,
)

DATA = Path(__file__).parents[1] / "data"
ORACLE = json.loads((DATA / "audio" / "wer.json").read_text())["expected"]
TEXT = json.loads((DATA / "io" / "wer_text.json").read_text())["expected"]
COMPAT = {
    "fixed": (by_character, normalise, has_characters),
    "fastvideo": (by_character_in_fastvideo, normalise_as_fastvideo, has_characters_in_fastvideo),
}
# What "fixed" reads otherwise than FastVideo: its reference as compared, and its rate.
FIXED = {
    "It's a well-known 20-year plan.": ("its a well known 20 year plan", 1 / 7),
    "e-mail user@example.com now": ("e mail user example com now", 2 / 6),
    "“Curly” quotes’ stay": ("curly quotes stay", 0.0),
    "ﬁne ½ ²": ("fine 1 2 2", 0.0),
}


def compared(compat: str, reference: str, transcript: str, language: object) -> tuple[list[str], list[str], bool]:
    by, plain, has = COMPAT[compat]
    first, second = plain(reference), plain(transcript)
    known = by(language)
    characters = known if known is not None else has(first) or has(second)
    return units(first, characters=characters), units(second, characters=characters), characters


@pytest.mark.parametrize("compat", COMPAT)
@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda case: f"{case['reference'][:12]!r}-{case['language']}")
def test_recorded_pairs(case, compat):
    if compat == "fixed" and case["reference"] in FIXED:
        first, second, _ = compared(compat, case["reference"], case["hypothesis"], case["language"])
        assert (" ".join(first), count(first, second).rate) == FIXED[case["reference"]]
        return
    differs = compat == "fixed" and "required" in case
    expected = {**case, **case["required"]} if differs else case
    plain = COMPAT[compat][1]
    reference, transcript = plain(case["reference"]), plain(case["hypothesis"])
    assert (reference, transcript) == (case["normalised_reference"], case["normalised_hypothesis"])
    *found, characters = compared(compat, case["reference"], case["hypothesis"], case["language"])
    assert characters == expected["char_level"]
    assert [" ".join(words) for words in found] == expected["wer_inputs"]
    errors = count(*found)
    assert errors.rate == expected["wer"]
    if "counts" in case and not differs:
        assert {name: getattr(errors, name) for name in case["counts"]} == case["counts"]


def test_fastvideos_text_rules():
    assert [[text, normalise_as_fastvideo(text)] for text, _ in TEXT["normalize"]] == TEXT["normalize"]
    for text, has in TEXT["contains_cjk"]:
        assert has_characters_in_fastvideo(normalise_as_fastvideo(text)) is has
    for text, characters in TEXT["char_level"]:
        assert " ".join(units(normalise_as_fastvideo(text), characters=True)) == characters


@pytest.mark.parametrize(("hint", "characters"), TEXT["language_hint"])
def test_fastvideos_hints(hint, characters):
    assert by_character_in_fastvideo(hint) is characters


@pytest.mark.parametrize("hint", [3, 2.5, True, ["en"], {"language": "zh"}, b"zh"])
def test_a_hint_that_is_not_text_does_not_tell(hint):
    assert by_character_in_fastvideo(hint) is None
    assert by_character(hint) is None
    assert language_code(hint) is None


def test_cjk_names_the_scripts_but_no_language():
    assert by_character("cjk") is by_character(" CJK ") is True
    assert language_code("cjk") is None


@pytest.mark.parametrize("case", TEXT["wer"], ids=lambda case: f"{case['reference']!r}-{case['force_char_level']}")
def test_fastvideos_rates(case):
    first, second = (normalise_as_fastvideo(case[key]) for key in ("reference", "hypothesis"))
    forced = case["force_char_level"]
    characters = forced if forced is not None else any(map(has_characters_in_fastvideo, (first, second)))
    found = units(first, characters=characters), units(second, characters=characters)
    assert characters == case["char_level"]
    assert [" ".join(words) for words in found] == [case["reference_prepared"], case["hypothesis_prepared"]]
    assert count(*found).rate == pytest.approx(case["wer"], abs=1e-12)


SAID = [
    ("It’s “really” fine.", "It's really fine", None),
    ("don’t ‘quote’ me", "don't quote me", "en"),
    ("rock ʼnʼ roll, Oʻahu", "rock 'n' roll Oahu", None),
    ("¿Qué tal? ¡Muy bien!", "que tal muy bien".replace("que", "qué"), "es"),
    ("« Bonjour », dit-il…", "bonjour dit il", "fr"),
    ("„Guten Tag“, sagte er", "guten tag sagte er", "de"),
    ("wait—what? one–two", "wait what one two", None),
    ("state-of-the-art", "state of the art", None),
    ("non‑breaking hy\u00adphen", "non breaking hyphen", None),
    ("zero\u200bwidth \u200emark\u200f", "zerowidth mark", None),
    ("Москва — столица", "москва столица", "ru"),
    ("مرحبا، كيف حالك؟", "مرحبا كيف حالك", "ar"),
    ("नमस्ते। क्या हाल है?", "नमस्ते क्या हाल है", "hi"),
    ("Ελλάδα; ναι·", "ελλάδα ναι", "el"),
    ("٣ كتب", "3 كتب", None),
    ("1,000 people at 3.5 km", "1000 people at 3.5 km", None),
    ("The U.S.A. won", "The USA won", None),
    ("smile 🙂 now", "smile now", None),
    ("100% & more", "100 more", None),
    ("สวัสดี ครับ", "สวัสดีครับ", None),
    ("ສະບາຍດີ ເຈົ້າ", "ສະບາຍດີເຈົ້າ", None),
    ("សួស្តី បង។", "សួស្តីបង", None),
    ("မင်္ဂလာ ပါ။", "မင်္ဂလာပါ", None),
    ("𠀀𠀁。", "𠀀 𠀁", None),
]


@pytest.mark.parametrize(("reference", "transcript", "language"), SAID)
def test_perfect_speech_has_no_errors(reference, transcript, language):
    first, second, _ = compared("fixed", reference, transcript, language)
    assert first
    assert count(first, second).rate == 0


@pytest.mark.parametrize(
    ("reference", "transcript", "language"),
    [
        ("สวัสดีครับ", "สวัสดีคร้บ", "th"),
        ("ສະບາຍດີ", "ສະບາຍດິ", "Lao"),
        ("សួស្តី", "សួស្ដី", "km"),
        ("မင်္ဂလာပါ", "မင်္ဂလာပီ", "Burmese"),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_scripts_without_spaces_are_compared_by_character(reference, transcript, language, told):
    first, second, characters = compared("fixed", reference, transcript, language if told else None)
    assert characters
    assert len(first) == len(reference)
    assert count(first, second).rate == pytest.approx(1 / len(reference))


def test_marks_stay_on_their_letters():
    assert normalise("हिन्दी") == "हिन्दी"
    assert not has_characters("हिन्दी भाषा, Ελλάδα, Москва, עברית")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It's twenty-five years.", "it is 25 years"),
        ("Mr. Park won’t pay", "mister park will not pay"),
        ("ninety percent", "90%"),
    ],
)
def test_english_is_spelt_one_way(first, second):
    assert in_english(first) == in_english(second)


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


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=30))
def test_normalising_twice_is_normalising_once_and_leaves_no_signs(text):
    once = normalise(text)
    assert normalise(once) == once
    assert not {unicodedata.category(one)[0] for one in once} & {"P", "S"}
