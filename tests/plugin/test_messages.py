"""What a run says in several places is one story: doubt, noise, clips, ids, and baselines that lie elsewhere."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import MANIFEST, Bench, verdicts

CHECK = "def test_speed(vidmetrics_baseline):\n    vidmetrics_baseline.check('speed', {})\n"


def _section(result: pytest.RunResult) -> list[str]:
    """Return the lines of the plugin's section."""
    start = next(number for number, line in enumerate(result.outlines) if line.strip("= ") == "video metrics")
    rest = result.outlines[start + 1 :]
    end = (number for number, line in enumerate(rest) if line.startswith("=") or re.match(r"\d+ (passed|failed)", line))
    return rest[: next(end)]


def _text(result: pytest.RunResult) -> str:
    return result.stdout.str()


def test_one_clip_of_four_is_red_and_nowhere_called_certain(bench: Bench, capsys, monkeypatch) -> None:
    """Holm's line and ``compare`` without a margin say how sure it is, and nothing that contradicts REGRESSED."""
    bench.record()
    bench.run("--vidmetrics-report=a.json")
    bench.degrade("b")
    result = bench.run("--vidmetrics-report=b.json")
    holm = [line for line in result.outlines if line.startswith("Holm")]
    assert holm == [
        "Holm over 2 gates at 0.05: of 2 gates worse than the margin here, none is certain to be so on other clips "
        "like these; more clips or a larger harm would tell"
    ]
    monkeypatch.chdir(bench.root)
    capsys.readouterr()
    assert main(["compare", "a.json", "b.json", "--abs=0"]) == 1
    lines = capsys.readouterr().out.splitlines()
    red = [line.split() for line in lines if line.endswith("REGRESSED")]
    assert [line[-2] for line in red] == ["no", "no"], "told apart from no difference"
    said = [line for line in lines if line.startswith("bench/demo/common.psnr.json: ")]
    assert "worse by" in said[0]
    assert "of the harm holds the margin; about " in said[1]
    assert " samples would settle it" in said[1]


def test_a_calibration_says_that_the_score_stays_and_what_the_noise_is(bench: Bench) -> None:
    bench.record()
    result = bench.run("--vidmetrics-calibrate=candidate,reference")
    assert set(verdicts(result).values()) == {"CALIBRATED"}
    noise = bench.baseline("common.psnr")["noise"]["sigma"]
    line = next(line for line in _section(result) if line.startswith("note: ") and "common.psnr: " in line)
    assert f": noise {noise:.5g} (standard deviation of 2 runs, generation), so that the margin is at least " in line
    row = next(line for line in _section(result) if line.startswith("common.psnr"))
    assert row.split()[2:4] == [row.split()[2]] * 2, "the baseline and what was scored now"


def test_the_ids_of_a_verbose_run_are_found_by_pytest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pytester.makeini("[pytest]\n")
    bench.record()
    below = bench.root / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    for place in (bench.root, below):
        monkeypatch.chdir(place)
        ids = [line.split()[0] for line in bench.run("-v", str(bench.root)).outlines if " PASSED " in line]
        assert len(ids) == 6
        assert all(id.split("::")[0].endswith("bench.vidmetrics.toml") for id in ids)
        bench.run(*ids).assert_outcomes(passed=6)
    monkeypatch.chdir(bench.root)


def test_a_quiet_run_says_less_and_a_clip_is_named_once(bench: Bench) -> None:
    bench.record()
    sizes = {flag: len(_section(bench.run(flag))) for flag in ("-q", "--verbosity=0", "-v")}
    assert sizes["-q"] < sizes["--verbosity=0"] <= sizes["-v"]
    bench.degrade("b")
    bench.run()
    for flag in ("-q", "--verbosity=0", "-v"):
        result = bench.run(flag, "-k", "psnr")
        assert _text(result).count("clips/candidate/b.mp4") == 1
        sizes[flag] = len(_section(result))
        assert "" not in _section(result)[:-1]
    assert sizes["-q"] <= sizes["--verbosity=0"] <= sizes["-v"]


def test_a_check_that_fails_is_one_number_everywhere(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("metrics = [", 'metrics = ["common.psnr"]\n#'))
    bench.pytester.makepyfile(test_gen=CHECK.format("0.9"))
    bench.run("--update-baselines").assert_outcomes(passed=6)
    bench.pytester.makepyfile(test_gen=CHECK.format("0.5"))
    result = bench.run("--vidmetrics-report=run.json", "--junitxml=junit.xml")
    assert "clip" not in _text(result).partition("test_speed 'speed'")[2].partition("=== video")[0]
    assert next(line for line in _section(result) if line.startswith("test_speed 'speed'")).endswith("REGRESSED")
    gates = {gate["file"]: gate for gate in json.loads((bench.root / "run.json").read_text("utf-8"))["gates"]}
    verdict = gates["test_gen/test_speed/speed.json"]["verdict"]
    assert (verdict["status"], verdict["baseline"], verdict["now"], verdict["worst"]) == ("REGRESSED", 0.9, 0.5, [])
    found = {one.get("name"): one.get("value") for one in ElementTree.parse(bench.root / "junit.xml").iter("property")}
    assert (found["vidmetrics.speed.verdict"], found["vidmetrics.speed.harm"]) == ("REGRESSED", "0.4")
    bench.pytester.makepyfile(test_gen=CHECK.format("float('nan')"))
    result = bench.run("test_gen.py")
    result.stdout.fnmatch_lines(["ERROR: the score is nan, not a finite number", "test_speed 'speed' * ERROR"])
    assert "sample" not in _text(result)


def test_baselines_further_up_are_pointed_at(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an ini file pytest takes a folder below for its root, and looks for baselines there."""
    below = bench.root / "below"
    below.mkdir()
    bench.manifest(MANIFEST.replace('"clips/', '"../clips/'), "below/bench.vidmetrics.toml")
    (bench.root / "bench.vidmetrics.toml").unlink()
    (below / "test_gen.py").write_text(CHECK.format("0.9"))
    assert bench.run(f"--rootdir={bench.root}", "--update-baselines").ret == 0
    monkeypatch.chdir(below)
    found = bench.root / "baselines/bench/demo/common.psnr.json"
    result = bench.run(f"--rootdir={below}")
    assert set(verdicts(result).values()) == {"MISSING"}
    again = f"--rootdir={bench.root}"
    wanted = below / "baselines/bench/demo/common.psnr.json"
    result.stdout.fnmatch_lines(
        [
            f"MISSING: no baseline is recorded for this gate: {wanted}; it lies further up, in {found}, which *{again}",
            "  Compare with the baseline further up:",
            f"    pytest * --vidmetrics=common.psnr *{again}",
            f"next: compare with the baselines further up: pytest * {again}",
        ]
    )
    assert "--update-baselines" not in _text(result)
    assert _text(result).count("it lies further up") == 3
    assert bench.run(again).ret == 0
    # A repository that begins here has nothing to do with what lies above.
    (below / ".git").mkdir()
    assert "further up" not in _text(bench.run(f"--rootdir={below}"))
    monkeypatch.chdir(bench.root)


LONG = "x" * 30_000
ROW = {"id": "a", "video": "clips/candidate/a.mp4"}
OVERLONG = {
    "key of a row": ROW | {LONG: 1},
    "keys of a row": ROW | {f"unknown key {number}": 1 for number in range(1000)},
    "path in a row": ROW | {"video": f"{LONG}.mp4"},
    "rate in a row": ROW | {"fps": LONG},
    "pattern": f'reference = "{LONG}"',
    "pattern without clips": f'reference = "{"nothing/" * 400}*.mp4"',
    "placeholder": f'reference = "{{{LONG}}}"',
    "cluster": f'cluster = "{LONG}"',
    "parameter": f'[case.demo.metric.x]\nuse = "common.ssim"\n{LONG} = 1',
    "choice": f'[case.demo.metric.x]\nuse = "common.ssim"\nchannels = "{LONG}"',
    "key": f"{LONG} = 1",
    "case": f'[case.{LONG}]\nvideo = "x"',
    "rule": f'[case.demo.gate.default]\ndecide = "{LONG}"',
}


@pytest.mark.parametrize("what", OVERLONG)
def test_what_is_too_long_is_cut_in_one_message(bench: Bench, what: str) -> None:
    given = OVERLONG[what]
    text = MANIFEST.partition("[case.demo.gate")[0].replace("reference =", "#").replace('"common.psnr", ', "")
    if isinstance(given, str):
        bench.manifest(f"{text}{given}\n")
    else:
        (bench.root / "rows.jsonl").write_text(json.dumps(given))
        bench.manifest(re.sub("(video|checkpoint) = .*", "", text) + 'samples = "rows.jsonl"\n')
    result = bench.run("--update-baselines")
    assert result.ret == (0 if what.startswith("key") and not isinstance(given, str) else 1)
    assert max(map(len, result.outlines)) < 1200
    assert "Traceback" not in _text(result)
    assert not [line for line in result.outlines if line.startswith("E  ")]
