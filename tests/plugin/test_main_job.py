"""The main job: record, pass, regress, and say which clip."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts


def test_without_a_baseline_every_gate_is_missing_and_red(bench: Bench) -> None:
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result) == {"common.psnr": "MISSING", "vbench.temporal_flickering": "MISSING"}
    result.stdout.fnmatch_lines(["*--vidmetrics=common.psnr --update-baselines"])


def test_recorded_gates_pass(bench: Bench) -> None:
    bench.record()
    result = bench.run()
    assert result.ret == 0
    assert set(verdicts(result).values()) == {"PASS"}


def test_a_second_run_decodes_and_computes_nothing(bench: Bench) -> None:
    bench.run().stdout.fnmatch_lines(["work: 8 decoded, 8 computed, *"])
    bench.run().stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *"])


def test_a_degraded_clip_turns_exactly_the_right_gates_red(bench: Bench) -> None:
    bench.record()
    bench.degrade("c")
    result = bench.run()
    assert verdicts(result) == {"common.psnr": "REGRESSED", "vbench.temporal_flickering": "REGRESSED"}
    result.stdout.fnmatch_lines(
        [
            "REGRESSED: worse by *, more than the margin of 0.001 (abs = 0.001)",
            "  bench.vidmetrics.toml::demo::common.psnr",
            "*clips that got worse, worst first:*",
            "*clip*baseline*now*harm*file*",
            "* c * clips/candidate/c.mp4",
            "*If this change is intended, record it:*",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "def test" not in result.stdout.str()


def test_a_change_inside_the_margin_passes(bench: Bench) -> None:
    bench.record()
    bench.degrade("c")
    text = (
        (bench.root / "bench.vidmetrics.toml")
        .read_text()
        .replace("abs = 0.001", 'abs = 30\nreason = "the noise of this test"')
    )
    bench.manifest(text)
    assert bench.run().ret == 0


def test_an_improvement_passes_and_says_so(bench: Bench) -> None:
    bench.degrade("a")
    bench.record()
    (bench.root / "clips" / "reference" / "a.mp4")
    bench.degrade("a", 3.0)
    result = bench.run()
    assert result.ret == 0
    assert verdicts(result)["common.psnr"] == "IMPROVED"
    result.stdout.fnmatch_lines(["next: *--update-baselines"])


def test_verbose_lists_every_clip_that_got_worse(bench: Bench) -> None:
    bench.record()
    bench.degrade("b")
    result = bench.run("-v")
    result.stdout.fnmatch_lines(["*clips that got worse, worst first:", "*clip*", "*b *candidate/b.mp4"])
    assert result.stdout.str().count("candidate/b.mp4") == 2  # once for each gate: the summary does not repeat them


def test_verbose_lists_the_clips_of_gates_that_passed(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("abs = 0.001", "abs = 30"))
    bench.record()
    bench.degrade("b")
    result = bench.run("-v")
    result.stdout.fnmatch_lines(["*::common.psnr: clips that got worse", "*clip*", "*b *candidate/b.mp4"])


def test_the_ids_that_verbose_prints_can_be_pasted(bench: Bench) -> None:
    bench.record()
    ids = [line.split()[0] for line in bench.run("-v").outlines if line.rstrip().endswith("%]")]
    assert len(ids) == 6
    bench.run(*ids, selection=None).assert_outcomes(passed=6)


def test_quiet_shows_no_more_than_the_default(bench: Bench) -> None:
    bench.record()
    for name in bench.clips:
        bench.degrade(name)
    listed = bench.run("-q").stdout.str().count(".mp4")
    assert listed == bench.run().stdout.str().count(".mp4") == 8


def test_a_manifest_named_on_the_command_line_needs_no_option(bench: Bench) -> None:
    bench.record()
    assert bench.run("bench.vidmetrics.toml", selection=None).ret == 0


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_the_other_formats_give_the_same_gates(bench: Bench, suffix: str) -> None:
    case = {
        "video": "clips/candidate/*.mp4",
        "reference": "clips/reference/*.mp4",
        "metrics": ["common.psnr", "vbench.temporal_flickering"],
    }
    (bench.root / "bench.vidmetrics.toml").unlink()
    # JSON is YAML, so one text serves both readers.
    bench.manifest(json.dumps({"schema": 1, "case": {"demo": case}}, indent=1), f"bench.vidmetrics.{suffix}")
    bench.record()
    assert set(verdicts(bench.run()).values()) == {"PASS"}


def test_junit_and_the_json_report_carry_the_numbers(bench: Bench) -> None:
    bench.record()
    bench.degrade("d")
    result = bench.run("--junitxml=out.xml", "--vidmetrics-report=out.json", "-o", "junit_family=xunit2")
    assert result.ret == 1
    properties = {
        (case.get("name"), item.get("name")): item.get("value")
        for case in ET.parse(bench.root / "out.xml").iter("testcase")
        for item in case.iter("property")
    }
    tree = json.loads((bench.root / "out.json").read_text())
    gate = next(entry for entry in tree["gates"] if entry["gate"].endswith("common.psnr"))
    assert properties["common.psnr", "vidmetrics.verdict"] == gate["verdict"]["status"] == "REGRESSED"
    assert float(properties["common.psnr", "vidmetrics.harm"]) == pytest.approx(gate["verdict"]["harm"])
    assert gate["verdict"]["worst"][0]["id"] == "d"
    assert str(bench.root) not in json.dumps(tree)


def test_baselines_hold_no_absolute_paths_and_are_sorted_behind_score_interval_and_n(bench: Bench) -> None:
    bench.record()
    for path in sorted(bench.baselines.iterdir()):
        text = path.read_text()
        assert str(bench.root) not in text
        tree = json.loads(text)
        assert list(tree) == ["score", "interval", "n", *sorted(tree.keys() - {"score", "interval", "n"})]
        assert list(tree["samples"]) == sorted(tree["samples"])
        assert [line for line in text.splitlines() if line.startswith('  "a":') or line.startswith('  "b":')]
        numbers = re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)
        assert all(float(one) == float(f"{float(one):.10g}") for one in numbers)


def test_a_clip_with_other_content_is_scored_again(bench: Bench) -> None:
    bench.record()
    before = bench.baseline("common.psnr")["samples"]
    bench.degrade("a", 10.0)
    bench.run("--update-baselines").assert_outcomes(passed=6)
    after = bench.baseline("common.psnr")["samples"]
    assert {name for name in before if before[name] != after[name]} == {"a"}
