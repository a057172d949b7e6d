"""Cohorts by fact: names, facts beside the clips, and the fact that differs between two modes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.gates.baseline import Noise
from pytest_vidmetrics.gates.baseline_text import baseline_text, decode_baseline
from pytest_vidmetrics.gates.calibrate import _noise
from pytest_vidmetrics.gates.cohort import AUTO, chosen, facts_beside, name_of
from pytest_vidmetrics.gates.lifecycle import _noise_text
from tests.gates.test_margin import recorded, scores

RUNS = [0.9861, 0.9859, 0.9860, 0.9581, 0.9860, 0.9579, 0.9862, 0.9580]
BACK_ENDS = [{"attention": "flash" if score > 0.97 else "sdpa", "torch": "2.11", "job": str(score)} for score in RUNS]


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"device": "cpu fp32"}, "cpu-fp32"),
        ({"device": "NVIDIA H200 (capability 9.0) tf32"}, "nvidia-h200-capability-9.0-tf32"),
        ({"device": "cpu fp32", "attention": "sdpa"}, "cpu-fp32-sdpa"),
        ({}, "unknown"),
    ],
)
def test_a_cohort_is_named_by_its_facts(facts: dict[str, str], name: str) -> None:
    assert name_of(facts) == name


@pytest.mark.parametrize("value", ["../up", "a" * 80, "é"])
def test_what_does_not_fit_into_a_name_is_told_apart_by_a_digest(value: str) -> None:
    name, other = name_of({"device": value}), name_of({"device": f"{value}!"})
    assert name != other
    assert len(name) <= 50
    assert "/" not in name


def test_the_fact_that_differs_between_two_modes_is_stored_and_named() -> None:
    noise = _noise(RUNS, "generation", BACK_ENDS)
    assert noise.facts == {"attention": ("sdpa", "flash")}
    new = recorded(scores([0.98] * 8), Policy(), noise)
    assert decode_baseline(baseline_text(new).encode(), "b.json").noise == new.noise
    assert Noise.from_wire(noise.to_wire()) == noise
    text = _noise_text(new)
    assert "attention is flash above and sdpa below" in text
    assert 'cohort = ["attention"]' in text


def test_facts_of_several_folders_are_all_said_and_a_bad_file_is_refused(tmp_path: Path) -> None:
    for folder, text in (("a", '{"attention": "sdpa"}'), ("b", '{"attention": "flash", "cudnn": "9"}')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "facts.json").write_text(text)
    corpus = Corpus(tuple(Sample(name, {"video": str(tmp_path / name / "1.mp4")}) for name in ("a", "b", "none")))
    assert facts_beside(corpus) == {"attention": "flash and sdpa", "cudnn": "9"}
    (tmp_path / "a" / "facts.json").write_text('{"attention": 3}')
    with pytest.raises(VidmetricsError, match="expected an object of texts"):
        facts_beside(corpus)


def test_auto_takes_what_is_known_and_a_list_is_taken_at_its_word() -> None:
    known = {"device": "cpu fp32", "torch": "2.11"}
    assert chosen(known, AUTO) == {"device": "cpu fp32"}
    assert chosen(known, ("torch",)) == {"torch": "2.11"}
    with pytest.raises(VidmetricsError, match="the fact 'driver' is not known"):
        chosen(known, ("device", "driver"))
