from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_vidmetrics.core.scores import Drawn, Problem
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.gates.record import RunRecord
from pytest_vidmetrics.report.numbers import number, percent, plot_of, signed
from pytest_vidmetrics.report.summary import summary_of
from pytest_vidmetrics.report.view import view
from tests.support.run_records import CASE, gate, record


def test_gates_come_by_urgency_and_drop_what_all_ids_share():
    seen = view(
        record(
            [
                gate("a.fine", {"x": 1.0}, {"x": 1.0}, status="PASS"),
                gate("b.worse", {"x": 0.0}, {"x": 1.0}, status="REGRESSED"),
                gate("c.much_worse", {"x": 0.0}, {"x": 9.0}, status="REGRESSED"),
                gate("d.broken", {}, {}, status="ERROR"),
            ]
        )
    )
    assert [one.label for one in seen.gates] == ["d.broken", "c.much_worse", "b.worse", "a.fine"]
    assert seen.subject == CASE
    assert seen.counts == {"ERROR": 1, "REGRESSED": 2, "PASS": 1}
    assert [one.is_red for one in seen.gates] == [True, True, True, False]


def test_only_what_the_command_would_accept_can_be_ticked():
    part = gate("part", {"x": 0.0}, {"x": 1.0})
    assert part.scores is not None
    drawn = replace(part, scores=replace(part.scores, drawn=Drawn("0", 40)))
    seen = view(
        record([gate("red", {"x": 0.0}, {"x": 1.0}), gate("fine", {"x": 1.0}, {"x": 1.0}, status="PASS"), drawn])
    )
    assert {one.label for one in seen.gates if one.can_be_accepted} == {"red"}


def test_ids_of_several_manifests_keep_what_tells_them_apart():
    seen = view(record([gate("m", {"x": 1.0}, {}, case="a.toml::one"), gate("m", {"x": 1.0}, {}, case="a.toml::two")]))
    assert {one.label for one in seen.gates} == {"one::m", "two::m"}
    seen = view(record([gate("m", {"x": 1.0}, {}, case="a.toml::one"), gate("m", {"x": 1.0}, {}, case="b.toml::one")]))
    assert {one.label for one in seen.gates} == {"a.toml::one::m", "b.toml::one::m"}
    assert view(record([])).gates == ()


def test_clips_come_worst_first_and_red_gates_weigh_more():
    seen = view(
        record(
            [
                gate("red", {"p": 5.0, "q": 9.0, "r": 10.0}, {"p": 10.0, "q": 10.0, "r": 10.0}),
                gate("green", {"p": 10.0, "q": 10.0, "r": 1.0}, dict.fromkeys("pqr", 10.0), status="PASS"),
                gate("falling", {"p": 1.0, "q": 1.0, "r": 1.0}, dict.fromkeys("pqr", 0.5), higher_is_better=False),
            ]
        )
    )
    assert [clip.id for clip in seen.clips] == ["p", "q", "r"]
    worst = seen.clips[0].worst
    assert worst is not None
    assert (seen.gates[worst.gate].label, worst.harm) == ("red", 5.0)
    assert [score.harm for score in seen.clips[2].scores if seen.gates[score.gate].label == "falling"] == [0.5]


def test_a_clip_without_a_score_comes_first_with_its_reason():
    lost = Problem("q", "failed", "clips/q.mp4: truncated")
    seen = view(record([gate("m", {"p": 0.0}, {"p": 5.0}, problems=[lost])]))
    assert [clip.id for clip in seen.clips] == ["q", "p"]
    assert seen.clips[0].problems == ("m: failed: clips/q.mp4: truncated",)
    # What several metrics met is said once.
    seen = view(record([gate(name, {}, {}, problems=[lost]) for name in ("m", "n")]))
    assert seen.clips[0].problems == ("m, n: failed: clips/q.mp4: truncated",)


def test_files_and_prompts_are_those_of_the_case():
    files = {
        "x": {"video": "new/x.mp4", "reference": "ref/x.mp4", "text_prompt": "a cat"},
        "y": {"audio": "new/y.wav", "reference_audio": "ref/y.wav"},
    }
    run = record([gate("m", {"x": 1.0, "y": 1.0}, {})], files)
    before = record([gate("m", {"x": 1.0}, {})], {"x": {"video": "old/x.mp4"}})
    seen = view(run, {"before": before})
    clips = {clip.id: clip for clip in seen.clips}
    assert clips["x"].files == {"candidate": "new/x.mp4", "reference": "ref/x.mp4", "before": "old/x.mp4"}
    assert clips["x"].prompt == "a cat"
    assert clips["y"].files == {"candidate": "new/y.wav", "reference": "ref/y.wav"}
    assert seen.sides == ("candidate", "reference", "before")
    # A record that lists no files knows the candidates all the same.
    assert view(record([gate("m", {"x": 1.0}, {})])).clips[0].files == {"candidate": "clips/x.mp4"}


def test_methods_that_are_ranked_share_a_row_with_a_side_each_and_the_best_one_first():
    """One clip of each method, the reference once, and the clips of another run beside those of each method."""

    def clips(folder: str) -> dict[str, dict[str, dict[str, str]]]:
        return {
            f"b.toml::i2v::{method}": {"x.s0": {"video": f"{folder}/{method}.mp4", "reference": "ref/x.mp4"}}
            for method in ("alpha", "wan", "reference")
        }

    gates = [
        gate("m", {"x.s0": 1.0}, {"x.s0": 2.0 if method == "wan" else 1.0}, case=f"b.toml::i2v::{method}")
        for method in ("alpha", "wan", "reference")
    ]
    ranked = RankReport("b.toml::i2v", "m", result={"methods": [{"method": "wan"}, {"method": "alpha"}]})
    run = RunRecord(tuple(gates), cases=clips("new"), rankings=(ranked,))
    seen = view(run, {"before": RunRecord((), cases={"b.toml::i2v::wan": clips("old")["b.toml::i2v::wan"]})})
    (clip,) = seen.clips
    assert (clip.id, clip.case) == ("x.s0", "b.toml::i2v")
    assert seen.sides == ("wan", "alpha", "method reference", "reference", "wan (before)")
    assert clip.files == {
        "alpha": "new/alpha.mp4",
        "wan": "new/wan.mp4",
        "method reference": "new/reference.mp4",
        "reference": "ref/x.mp4",
        "wan (before)": "old/wan.mp4",
    }
    assert clip.worst is not None
    assert seen.gates[clip.worst.gate].side == "wan"
    # What failed says whose it was.
    lost = replace(gates[0], scores=replace(gates[0].scores, problems=(Problem("x.s0", "failed", "no clip"),)))
    assert view(replace(run, gates=(lost,))).clips[0].problems == ("alpha::m: failed: no clip",)
    # Without a ranking they are cases like others.
    assert {one.case for one in view(replace(run, rankings=())).clips} == set(run.cases)


def test_clips_of_methods_without_a_baseline_come_by_how_far_the_methods_are_apart():
    scores = {"a": {"x": 1.0, "y": 1.0, "z": 1.0}, "b": {"x": 1.5, "y": 3.0, "z": 1.0}}
    gates = tuple(gate("m", own, {}, status="MISSING", case=f"c::i2v::{name}") for name, own in scores.items())
    cases = {f"c::i2v::{name}": {id: {"video": f"{name}/{id}.mp4"} for id in own} for name, own in scores.items()}
    run = RunRecord(gates, cases=cases, rankings=(RankReport("c::i2v", "m", reason="too few"),))
    seen = view(run)
    assert ([clip.id for clip in seen.clips], seen.order) == (["y", "x", "z"], "where methods differ most first")
    assert view(replace(run, rankings=())).order == "by name"
    assert "Clips" not in summary_of(seen), "nothing got worse: there is nothing to compare with"
    # What is recorded counts more than how methods compare.
    recorded = replace(gates[0], recorded={"z": 2.0})
    seen = view(replace(run, gates=(recorded, gates[1])))
    assert (seen.clips[0].id, seen.order) == ("z", "worst first")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0"), (36.729512, "36.73"), (-1.5e-7, "-1.5e-07"), (123456.0, "1.2346e+05")]
)
def test_numbers_have_five_digits(value, text):
    assert number(value) == text


def test_changes_have_signs_and_percents():
    assert (signed(0.25), signed(-0.25), signed(0.0), signed(None)) == ("+0.25", "−0.25", "0", "–")
    assert percent(-1.4241, 36.73) == "−3.9 %"
    assert percent(0.3, 0.0325) == "+923 %"
    assert percent(-0.0002, 1.0) == "−0.020 %"
    assert (percent(1.0, 0.0), percent(None, 1.0), percent(1.0, None)) == ("", "", "")


def test_intervals_share_one_scale():
    drawn = plot_of(Verdict("REGRESSED", "", harm=0.5, margin=0.25, interval=(-0.25, 5.0)), "dB")
    assert drawn is not None
    assert drawn.zero == 50
    assert drawn.margin == pytest.approx(50 + 50 / 3, abs=0.01)
    assert drawn.harm == pytest.approx(50 + 100 / 3, abs=0.01)
    assert (drawn.low, drawn.high) == (pytest.approx(50 - 50 / 3, abs=0.01), 100)
    assert (drawn.cut_low, drawn.cut_high) == (False, True)
    assert drawn.text == "harm 0.5 dB, margin 0.25, interval -0.25 to 5"
    flat = plot_of(Verdict("PASS", "", harm=0.0, margin=0.0))
    assert flat is not None
    assert (flat.harm, flat.low) == (50, None)
    assert plot_of(Verdict("MISSING", "", now=1.0)) is None
