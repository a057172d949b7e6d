from __future__ import annotations

import html
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.scores import Problem
from pytest_vidmetrics.report.annotations import annotations_of
from pytest_vidmetrics.report.summary import LIMIT, summary_of
from pytest_vidmetrics.report.view import view
from tests.support.run_records import gate, record


def test_the_worst_comes_first_with_its_numbers():
    files = {"x": {"video": "a.mp4", "text_prompt": "a cat"}}
    run = record(
        [
            gate("common.ssim", {"x": 0.97}, {"x": 0.971}, status="PASS", margin=0.01),
            gate("common.psnr", {"x": 35.0}, {"x": 36.7}, margin=0.25),
        ],
        files,
        checkpoint="step-2000",
    )
    text = summary_of(view(run))
    assert text.startswith("### Video metrics: 1 of 2 gates are red\n\ncheckpoint `step-2000`, 1 REGRESSED, 1 PASS\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2] == r"| **REGRESSED** | common.psnr | 36.7 | 35 dB | −1.7 −4.6 % | +1.7 | 0.25 | 1 |"
    assert rows[3].startswith("| PASS | common.ssim |")
    assert "- `x`: common.psnr 36.7 → 35 dB – a cat" in text


def test_gates_without_a_verdict_are_named_once_by_reason():
    lost = [Problem("x", "unavailable", "no weights")]
    text = summary_of(view(record([gate(f"a.{i}", {}, {}, status="UNAVAILABLE", problems=lost) for i in range(5)])))
    assert text.count("unavailable because of a test") == 1
    assert "(a.0, a.1, a.2 and 2 more)" in text
    assert summary_of(view(record([]))) == "### Video metrics: no gate was judged\n\n"


def test_long_runs_stay_below_the_limit_and_say_what_is_missing():
    gates = [gate(f"vbench.{'x' * 200}{i}", {"c": 0.0}, {"c": 1.0}) for i in range(1000)]
    text = summary_of(view(record(gates)))
    assert len(text.encode()) <= LIMIT
    cut = re.search(r"(\d+) more gates are not listed here", text)
    assert cut is not None
    assert int(cut[1]) + text.count("**REGRESSED**") == 1000


@settings(deadline=None)
@given(st.text(max_size=200))
def test_foreign_text_is_shown_and_does_nothing(name):
    run = record([gate("m", {"x": 0.0}, {"x": 1.0}, notes=(name,))], {"x": {"video": "v", "text_prompt": name}})
    text = summary_of(view(run))
    line = next(line for line in text.splitlines() if line.startswith("- `x`"))
    said = line.partition(" – ")[2]
    assert not re.search(r"[<>@]|(?<!\\)[`*_\[\]|]", said)
    flat = " ".join(name.split())
    if len(flat) <= 120:
        assert html.unescape(re.sub(r"\\(.)", r"\1", said)) == flat


def test_annotations_name_the_line_and_are_escaped():
    case = "bench/a.toml::t2v"
    gates = [gate(f"m{i:02d}", {"x": 0.0}, {"x": 1.0}, case=case) for i in range(12)]
    gates.append(gate("fine", {"x": 1.0}, {"x": 1.0}, case=case, status="PASS"))
    found = annotations_of(view(record(gates)), lambda one: ("bench/a,b.toml", 7))
    assert found[0] == (
        "::error file=bench/a%2Cb.toml,line=7,title=REGRESSED%3A m00::"
        "regressed because of a test%0A1 -> 0 (−100 %25), n 1"
    )
    assert len(found) == 11
    assert found[-1] == "::notice::2 more gates are red; the summary names them"
    assert not any("\n" in line for line in found)
