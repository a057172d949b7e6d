"""The command in a failure works when it is pasted: quoted, relative to the caller's folder, with the same options."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest

from tests.plugin.conftest import MANIFEST, PLAIN, Bench, verdicts


def _printed(result: pytest.RunResult) -> list[str]:
    """Return the words of the only command that a run's failures print."""
    (line,) = {line.strip() for line in result.outlines if re.match(r" +pytest ", line)}
    words = shlex.split(line)
    assert words[0] == "pytest"
    return words[1:]


def _paste(bench: Bench, result: pytest.RunResult) -> pytest.RunResult:
    return bench.pytester.runpytest_inprocess(*PLAIN, *_printed(result))


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_run_from_another_folder(bench: Bench, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]) -> None:
    bench.pytester.makeini("[pytest]\n")
    folder = bench.root / "gates"
    folder.mkdir()
    for name in ("clips", "bench.vidmetrics.toml"):
        shutil.move(bench.root / name, folder / name)
    monkeypatch.chdir(folder)
    result = bench.run(".", *workers, selection="common.psnr")
    assert _printed(result)[0] == "bench.vidmetrics.toml::demo::common.psnr"
    assert _paste(bench, result).ret == 0
    assert (bench.baselines / "common.psnr.json").exists()


def test_an_ini_file_elsewhere(bench: Bench) -> None:
    (bench.root / "conf").mkdir()
    (bench.root / "conf" / "pytest.ini").write_text("[pytest]\n")
    arguments = ("-c", "conf/pytest.ini", "bench.vidmetrics.toml")
    result = bench.run(*arguments, selection="common.psnr")
    assert _printed(result)[0] == "bench.vidmetrics.toml::demo::common.psnr"
    assert _paste(bench, result).ret == 0
    assert verdicts(bench.run(*arguments, selection="common.psnr")) == {"common.psnr": "PASS"}
    bench.manifest(MANIFEST, "other.vidmetrics.toml")
    both = bench.run(*arguments, "other.vidmetrics.toml", selection="common.psnr")
    both.stdout.fnmatch_lines(
        [
            "../bench.vidmetrics.toml::demo",
            "common.psnr *PASS",
            "../other.vidmetrics.toml::demo",
            "common.psnr *MISSING",
        ]
    )


def test_values_that_a_shell_would_read_are_quoted(bench: Bench) -> None:
    shutil.move(bench.root / "clips" / "candidate", bench.root / "clips" / "my run")
    options = ("--vidmetrics-checkpoint=my run", "--baseline-dir=my $baselines")
    result = bench.run(*options, selection="common.psnr")
    assert _printed(result)[2:4] == list(options)
    assert _paste(bench, result).ret == 0
    assert (bench.root / "my $baselines" / "bench" / "demo" / "common.psnr.json").exists()


@pytest.mark.parametrize("name", ["be nch", "$HOME", "a`b", 'a"b', "a!b", "a'b"])
def test_names_that_a_shell_would_read_are_quoted(bench: Bench, name: str) -> None:
    (bench.root / "bench.vidmetrics.toml").unlink()
    bench.manifest(MANIFEST, f"{name}.vidmetrics.toml")
    result = bench.run(selection="common.psnr")
    assert _printed(result)[0] == f"{name}.vidmetrics.toml::demo::common.psnr"


def test_the_options_of_the_run_are_repeated(bench: Bench) -> None:
    options = (
        "--vidmetrics-checkpoint=candidate",
        "--vidmetrics-cohort=h100",
        "--baseline-dir=kept",
        "--vidmetrics-cache=mine",
        "--vidmetrics-device=cpu",
        "--vidmetrics-allow-unavailable",
        f"--rootdir={bench.root}",
    )
    result = bench.run(*options, "-o", "vidmetrics_device=cpu", "--vidmetrics-report=run.json", selection="common.psnr")
    words = _printed(result)
    assert set(options) < set(words)
    assert "vidmetrics_device=cpu" in words
    assert not [word for word in words if "report" in word]
    pasted = _paste(bench, result)
    pasted.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, 4 reused"])
    assert (bench.root / "kept" / "bench" / "demo" / "common.psnr@h100.json").exists()


def test_the_command_of_a_check(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pytester.makeini("[pytest]\n")
    folder = bench.root / "tests"
    folder.mkdir()
    (folder / "test_q.py").write_text("def test_q(vidmetrics_baseline):\n    vidmetrics_baseline.check('q', 0.5)\n")
    monkeypatch.chdir(folder)
    result = bench.run("--baseline-dir=my baselines", "test_q.py", selection=None)
    assert _printed(result) == ["test_q.py::test_q", "--baseline-dir=my baselines", "--update-baselines"]
    assert _paste(bench, result).ret == 0
