"""A baseline says whose it is, and its name cannot lead elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts

TWO_CASES = MANIFEST + MANIFEST.partition("\n\n")[2].replace("case.demo", "case.other").replace(
    '"candidate"', '"reference"'
)


def _worse_twin(bench: Bench) -> None:
    """Record two cases of one manifest; the baseline of ``demo`` is the lower one."""
    bench.manifest(TWO_CASES.replace('checkpoint = "reference"', 'checkpoint = "twin"'))
    shutil.copytree(bench.root / "clips/candidate", bench.root / "clips/twin")
    bench.run("--update-baselines").assert_outcomes(passed=12)


def test_the_baseline_of_another_case_is_not_taken_for_ones_own(bench: Bench) -> None:
    _worse_twin(bench)
    other = bench.root / "baselines/bench/other/common.psnr.json"
    shutil.copy(other, bench.baselines / "common.psnr.json")
    result = bench.run("-k", "demo and psnr")
    assert verdicts(result) == {"common.psnr": "ERROR"}
    result.stdout.fnmatch_lines(["*was recorded by bench.vidmetrics.toml::other::common.psnr: *"])
    assert bench.run("-k", "demo and psnr", "--update-baselines").ret == 0
    assert bench.baseline("common.psnr")["recorded_by"]["case"] == "demo"


def test_baselines_that_changed_places_are_not_taken_for_ones_own(bench: Bench) -> None:
    _worse_twin(bench)
    one, other = (bench.root / f"baselines/bench/{case}/common.psnr.json" for case in ("demo", "other"))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    result = bench.run("-k", "psnr")
    result.assert_outcomes(failed=2, deselected=10)
    assert "recorded by" in result.stdout.str()


def test_a_baseline_of_another_gate_is_not_taken_for_ones_own(bench: Bench) -> None:
    bench.record()
    shutil.copy(bench.baselines / "vbench.temporal_flickering.json", bench.baselines / "common.psnr.json")
    assert verdicts(bench.run("-k", "psnr")) == {"common.psnr": "ERROR"}


def test_a_baseline_of_a_check_is_not_taken_for_a_gates_own(bench: Bench) -> None:
    bench.pytester.makepyfile(test_gen="def test_q(vidmetrics_baseline):\n    vidmetrics_baseline.check('q', 1.0)\n")
    bench.run("--update-baselines")
    shutil.copy(bench.root / "baselines/test_gen/test_q/q.json", bench.baselines / "common.psnr.json")
    assert verdicts(bench.run("-k", "psnr")) == {"common.psnr": "ERROR"}


def test_the_seal_covers_whose_it_is(bench: Bench) -> None:
    bench.record()
    path = bench.baselines / "common.psnr.json"
    path.write_text(path.read_text().replace('"case": "demo"', '"case": "other"'))
    result = bench.run("-k", "psnr")
    assert verdicts(result) == {"common.psnr": "ERROR"}
    result.stdout.fnmatch_lines(["*was edited by hand or merged*"])


def test_a_renamed_case_takes_its_baselines_along(bench: Bench) -> None:
    bench.record()
    bench.manifest(MANIFEST.replace("case.demo", "case.new"))
    bench.baselines.rename(bench.root / "baselines/bench/new")
    assert bench.run().ret == 0
    assert bench.run("--update-baselines").ret == 0
    tree = json.loads((bench.root / "baselines/bench/new/common.psnr.json").read_text())
    assert tree["recorded_by"]["case"] == "new"


LONG = "x" * 181
NAMES = ["..", ".", "a.", "con", "NUL.txt", "a.json", LONG, "a b", "a/b", "", "ä"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", ["case", "metric"])
def test_names_that_are_no_names_of_files_are_refused(bench: Bench, name: str, table: str) -> None:
    quoted = json.dumps(name)
    if table == "case":
        bench.manifest(MANIFEST.replace("[case.demo]", f"[case.{quoted}]").partition("\n[case.demo.gate")[0])
    else:
        bench.manifest(f'{MANIFEST}\n[case.demo.metric.{quoted}]\nuse = "common.psnr"\n')
    before = _json_files(bench)
    result = bench.run("--update-baselines")
    result.assert_outcomes(failed=1)
    assert "name" in result.stdout.str()
    assert _json_files(bench) == before


def _json_files(bench: Bench) -> list[Path]:
    """Return those in the folder of the run, and those beside it: above lie the folders of all tests."""
    return sorted([*bench.root.rglob("*.json"), *bench.root.parent.glob("*.json")])


@pytest.mark.parametrize(
    "name", ["...vidmetrics.toml", ".vidmetrics.toml", "con.vidmetrics.toml", f"{LONG}.vidmetrics.toml"]
)
def test_a_manifest_whose_name_leads_elsewhere_is_refused(bench: Bench, name: str) -> None:
    """``...vidmetrics.toml`` with a case ``..`` replaced files outside of the folder of the baselines."""
    package = bench.root / "package.json"
    package.write_text('{"name": "site"}')
    bench.manifest(MANIFEST, name)
    (bench.root / "bench.vidmetrics.toml").unlink()
    result = bench.run("--update-baselines")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the manifest's name *"])
    assert package.read_text() == '{"name": "site"}'
    assert not (bench.root / "baselines").exists()


def test_a_gate_named_as_a_file_of_somebody_else_replaces_nothing(bench: Bench) -> None:
    bench.manifest(f'{MANIFEST}\n[case.demo.metric.package]\nuse = "common.psnr"\n')
    bench.baselines.mkdir(parents=True)
    package = bench.baselines / "package.json"
    package.write_text('{"name": "site"}')
    result = bench.run("--update-baselines", "-k", "package or psnr")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: cannot write the baseline *package.json: what is there is not a baseline*"])
    assert package.read_text() == '{"name": "site"}'
    assert bench.baseline("common.psnr")["n"] == 4  # the others are written


@pytest.mark.parametrize("name", ["..", "x" * 300, "con", ""])
def test_a_check_has_a_name_that_stays_in_its_folder(bench: Bench, name: str) -> None:
    bench.pytester.makepyfile(
        test_gen=f"def test_q(vidmetrics_baseline):\n    vidmetrics_baseline.check({name!r}, 1.0)\n"
    )
    result = bench.run("test_gen.py", "--update-baselines", selection=None)
    files = [path.relative_to(bench.root / "baselines") for path in (bench.root / "baselines").rglob("*.json")]
    assert all(path.parts[0] == "test_gen" and len(path.parts) == 3 for path in files)
    assert "INTERNALERROR" not in result.stdout.str()
    assert result.ret in (0, 1)
