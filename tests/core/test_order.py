"""The order of names: that of a person who counts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.order import in_order, natural_key


@pytest.mark.parametrize(
    "ordered",
    [
        ("F1", "f2", "f10"),
        ("t0.25", "t0.5", "t1", "t10"),
        ("t-2", "t-1", "t0", "t+1"),
        ("x=-3", "x=-1", "x=2"),
        ("-2.png", "-1.png", "0.png", "1.png", "10.png"),
        ("shift_-0.5", "shift_-0.25", "shift_0", "shift_0.25"),
        ("clip-1", "clip-2", "clip-10"),
        ("a dog!-0", "a dog!-1", "a dog!-2"),
        ("2024-01-02", "2024-01-10", "2024-02-01"),
        ("v1.9.1", "v1.10.0", "v1.10.2"),
        ("0", "1", "2", "10", "11"),
        ("clip", "clip 1", "clip 2"),
        ("s1_f2", "s1_f10", "s2_f1"),
    ],
    ids=lambda names: names[0],
)
def test_names_are_counted(ordered: tuple[str, ...]) -> None:
    for seed in range(8):
        mixed = list(ordered)
        random.Random(seed).shuffle(mixed)
        assert in_order(mixed) == list(ordered)


def test_the_names_of_two_folders_are_counted_alike() -> None:
    names = [f"{number}.mp4" for number in range(12)]
    padded = [f"clip_{number:02}.mp4" for number in range(12)]
    assert in_order(sorted(names)) == names
    assert in_order(sorted(padded)) == padded


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(alphabet="aA01²٣. _-+=", max_size=8), max_size=8, unique=True), st.randoms())
def test_any_names_have_one_order(names: list[str], dice: random.Random) -> None:
    mixed = list(names)
    dice.shuffle(mixed)
    assert in_order(mixed) == in_order(names)


def test_numbers_of_thousands_of_digits_have_an_order() -> None:
    long = "9" * 6000
    assert in_order([f"f{long}", f"f{long}0", "f1"]) == ["f1", f"f{long}", f"f{long}0"]
    assert natural_key("f1") < natural_key(f"f{long}")
