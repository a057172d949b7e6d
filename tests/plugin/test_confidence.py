"""Noise, families of gates, comparing and reviewing runs."""

from __future__ import annotations

import json

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.commands.review import review
from pytest_vidmetrics.gates.folder import BaselineFolder
from tests.plugin.conftest import MANIFEST, Bench, verdicts


def test_calibrating_records_the_noise_of_scoring_again(bench: Bench) -> None:
    bench.record()
    before = bench.baseline("common.psnr")
    result = bench.run("--vidmetrics-calibrate=3")
    result.assert_outcomes(passed=6)
    after = bench.baseline("common.psnr")
    assert after["noise"] == {"kind": "scoring", "runs": 3, "sigma": 0.0}
    assert {**after, "noise": None, "digest": before["digest"]} == before
    assert set(verdicts(bench.run()).values()) == {"PASS"}


def test_noise_between_checkpoints_widens_the_margin_and_is_said_when_the_margin_lies_below(bench: Bench) -> None:
    bench.record()
    bench.run("--vidmetrics-calibrate=candidate,reference").assert_outcomes(passed=6)
    noise = bench.baseline("common.psnr")["noise"]
    assert (noise["kind"], noise["runs"]) == ("generation", 2)
    assert noise["sigma"] > 10
    bench.degrade("a", 20.0)
    assert set(verdicts(bench.run("-k", "psnr")).values()) == {"PASS"}
    bench.manifest(MANIFEST.replace("abs = 0.001", "abs = 0.001\nsigma = 0.0"))
    assert set(verdicts(bench.run("-k", "psnr")).values()) == {"REGRESSED"}
    bench.manifest(MANIFEST.replace("abs = 0.001", "abs = 0.001\nsigma = 0.01"))
    bench.run("-k", "psnr").stdout.fnmatch_lines(["*the margin given, 0.001, lies below 0.01 sigma of the noise*"])


def test_checkpoints_that_are_the_same_clips_are_no_noise(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("{checkpoint}", "candidate"))
    bench.record()
    result = bench.run("--vidmetrics-calibrate=seed1,seed2")
    assert set(verdicts(result).values()) == {"ERROR"}
    result.stdout.fnmatch_lines(["*seed1 and seed2 are the same clips; *by {checkpoint}*"])
    assert bench.baseline("common.psnr")["noise"] is None
    bench.manifest()
    (bench.root / "clips" / "seed3").symlink_to(bench.root / "clips" / "candidate")
    result = bench.run("--vidmetrics-calibrate=reference,candidate,seed3")
    result.stdout.fnmatch_lines(["*candidate and seed3 are the same clips*"])


def test_clips_that_a_hook_lists_have_no_checkpoints(bench: Bench) -> None:
    bench.pytester.makeconftest(
        "from pytest_vidmetrics.gates.listing import resolve_samples\n"
        "def pytest_vidmetrics_load_samples(case): return resolve_samples(case)\n"
    )
    bench.record()
    result = bench.run("--vidmetrics-calibrate=candidate,reference")
    assert set(verdicts(result).values()) == {"ERROR"}
    result.stdout.fnmatch_lines(["*a hook lists the clips of this case*give --vidmetrics-calibrate a number*"])
    bench.run("--vidmetrics-calibrate=2").assert_outcomes(passed=6)


def test_an_update_keeps_the_noise_of_the_same_metric(bench: Bench) -> None:
    bench.record()
    bench.run("--vidmetrics-calibrate=2")
    bench.degrade("a", 5.0)
    bench.run("--update-baselines")
    assert bench.baseline("common.psnr")["noise"]["runs"] == 2


def test_calibrating_needs_a_baseline_and_scores(bench: Bench) -> None:
    assert set(verdicts(bench.run("--vidmetrics-calibrate=2")).values()) == {"MISSING"}
    bench.record()
    bench.candidate("a").write_bytes(b"")
    assert set(verdicts(bench.run("--vidmetrics-calibrate=2")).values()) == {"ERROR"}
    assert bench.baseline("common.psnr")["noise"] is None


def test_generations_of_other_samples_are_no_noise(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace('reference = "clips/reference/*.mp4"\n', "").replace('"common.psnr", ', ""))
    bench.run("--update-baselines").assert_outcomes(passed=5)
    (bench.root / "clips" / "reference" / "d.mp4").unlink()
    result = bench.run("--vidmetrics-calibrate=candidate,reference")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*the noise cannot be measured: *reference/a.mp4: other samples than those of *"])
    assert bench.baseline("vbench.temporal_flickering")["noise"] is None


@pytest.mark.parametrize("value", ["1", "0", "one", ",", "one,one"])
def test_calibrating_needs_two_runs(bench: Bench, value: str) -> None:
    assert bench.run(f"--vidmetrics-calibrate={value}").ret == pytest.ExitCode.USAGE_ERROR


def test_calibrating_is_refused_in_ci(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert bench.run("--vidmetrics-calibrate=2").ret == pytest.ExitCode.USAGE_ERROR


def test_holm_is_reported_beside_the_raw_verdicts(bench: Bench) -> None:
    bench.record()
    for name in bench.clips:
        bench.degrade(name)
    result = bench.run("--vidmetrics-report=out.json")
    result.stdout.fnmatch_lines(
        ["Holm over 2 gates at 0.05: of 2 gates worse than the margin here, 2 are certain*: common.psnr, vbench*"]
    )
    gates = json.loads((bench.root / "out.json").read_text())["gates"]
    assert all(gate["verdict"]["p"] <= gate["p_holm"] <= 0.05 for gate in gates)


def _two_records(bench: Bench) -> None:
    bench.record()
    bench.run("--vidmetrics-report=a.json")
    bench.degrade("b")
    bench.run("--vidmetrics-report=b.json")


def test_compare_reads_records_and_folders_and_fails_like_a_gate(bench: Bench, capsys, monkeypatch) -> None:
    _two_records(bench)
    monkeypatch.chdir(bench.root)
    assert main(["compare", "a.json", "a.json"]) == 0
    capsys.readouterr()
    assert main(["compare", "baselines", "b.json"]) == 1
    text = capsys.readouterr().out
    assert text.count("REGRESSED") == 4
    assert "bench/demo/common.psnr" in text
    assert main(["compare", "a.json", "b.json", "--abs=100"]) == 0
    assert main(["compare", "a.json", "b.json", "--decide=lenient"]) == 0
    capsys.readouterr()
    assert main(["compare", "a.json", "b.json", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["bench/demo/common.psnr.json"]["status"] == "REGRESSED"


def test_compare_judges_as_the_run_did(bench: Bench, capsys, monkeypatch) -> None:
    """With the margins, the rule and the clusters that the second record holds."""
    rows = [{"id": name, "prompt": "one" if name in "ab" else "two"} for name in bench.clips]
    (bench.root / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    text = MANIFEST.replace("metrics =", 'samples = "rows.jsonl"\ncluster = "prompt"\nmetrics =')
    bench.manifest(text.replace("abs = 0.001", 'abs = 0.01\nalpha = 0.1\ndecide = "lenient"'))
    _two_records(bench)
    monkeypatch.chdir(bench.root)
    judged = {gate["file"]: gate["verdict"] for gate in json.loads((bench.root / "b.json").read_text())["gates"]}
    assert {verdict["status"] for verdict in judged.values()} == {"PASS"}
    for first in ("a.json", "baselines"):
        capsys.readouterr()
        assert main(["compare", first, "b.json", "--json"]) == 0
        compared = json.loads(capsys.readouterr().out)
        for key, verdict in compared.items():
            for fact in ("status", "harm", "margin", "interval", "p", "decide"):
                assert verdict[fact] == judged[key][fact]
    assert main(["compare", "a.json", "b.json", "--decide=point"]) == 1


@pytest.mark.parametrize("option", ["--abs=nan", "--abs=-1", "--rel=inf", "--alpha=0", "--alpha=0.6", "--decide=no"])
def test_compare_refuses_a_policy_that_makes_no_sense(option: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "a", "b", option])
    assert ended.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_compare_never_passes_what_a_side_lacks(bench: Bench, capsys, monkeypatch) -> None:
    bench.record()
    bench.run("--vidmetrics-report=all.json")
    bench.run("--vidmetrics-report=one.json", "-k", "psnr")
    monkeypatch.chdir(bench.root)
    assert main(["compare", "all.json", "one.json"]) == 1
    assert main(["compare", "one.json", "all.json"]) == 1
    bench.candidate("a").write_bytes(b"")
    bench.run("--vidmetrics-report=broken.json")
    assert main(["compare", "all.json", "broken.json"]) == 1
    assert main(["compare", "broken.json", "broken.json"]) == 1
    capsys.readouterr()
    assert main(["compare", "nowhere", "all.json"]) == 2
    assert "cannot read the run record nowhere" in capsys.readouterr().err


def test_review_writes_what_is_accepted_and_nothing_else(bench: Bench) -> None:
    _two_records(bench)
    from pytest_vidmetrics.gates.record import read_record

    bench.run("--vidmetrics-calibrate=2", "-k", "psnr")
    before = bench.baseline("vbench.temporal_flickering")
    noise, environment = (bench.baseline("common.psnr")[key] for key in ("noise", "environment"))
    answers = iter(["what?", "a", "r"])
    said: list[str] = []
    folder = BaselineFolder(bench.root / "baselines", bench.root)
    status = review(read_record(bench.root / "b.json"), folder, lambda question: next(answers), said.append)
    assert status == 1
    assert "REGRESSED: bench/demo/common.psnr" in "".join(said)
    assert bench.baseline("vbench.temporal_flickering") == before
    accepted = bench.baseline("common.psnr")
    bench.run("--update-baselines", "-k", "psnr")
    assert accepted == bench.baseline("common.psnr")
    assert (accepted["noise"], accepted["environment"]) == (noise, environment)
    assert verdicts(bench.run()) == {"common.psnr": "PASS", "vbench.temporal_flickering": "REGRESSED"}


def test_review_is_for_people(bench: Bench, capsys, monkeypatch) -> None:
    _two_records(bench)
    monkeypatch.chdir(bench.root)
    assert main(["review", "b.json"]) == 2
    assert "run it in a terminal" in capsys.readouterr().err
    monkeypatch.setenv("CI", "1")
    assert main(["review", "b.json"]) == 2
    assert "refused in CI" in capsys.readouterr().err
