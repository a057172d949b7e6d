"""`vidmetrics selftest`: what gates would catch, on small clips and on those of the quickstart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vidmetrics.cli import main
from tests.support.clips import noisy, scene, write_clip

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "quickstart.vidmetrics.toml"
BASELINES = Path(__file__).parents[2] / "baselines"
MANIFEST = """\
schema = 1

[case.demo]
video = "clips/*.mp4"
reference = "reference/*.mp4"
metrics = ["common.psnr", "vbench.temporal_flickering"]
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    for index, name in enumerate("abcd"):
        frames = scene(index)
        write_clip(tmp_path / "reference" / f"{name}.mp4", frames)
        write_clip(tmp_path / "clips" / f"{name}.mp4", noisy(frames, 3.0, index))
    (tmp_path / "m.vidmetrics.toml").write_text(MANIFEST)
    return tmp_path


def selftest(*more: str) -> int:
    return main(["selftest", "m.vidmetrics.toml", "--device=cpu", "--store=store", *more])


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for name in ("clips", "reference") for path in (folder / name).rglob("*")}


def test_a_loss_of_sight_is_red(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, only = files(bench), "--only=flicker,noise,noise on half the clips"
    assert selftest(only, "--record") == 0
    caught = json.loads((bench / "baselines" / "m" / "demo.sight.json").read_text())["caught"]
    assert set(caught) == {"common.psnr", "vbench.temporal_flickering"}
    assert caught["vbench.temporal_flickering"]["flicker"] is not None
    # Twice as many damaged clips are seen at the same dose or at a smaller one.
    for gate in caught.values():
        assert (gate["noise"] or 4) <= (gate["noise on half the clips"] or 4)
    assert files(bench) == before
    capsys.readouterr()

    assert selftest(only) == 0
    assert "flicker" in capsys.readouterr().out

    wide = MANIFEST + '[case.demo.gate."vbench.temporal_flickering"]\nrel = 0.5\n'
    (bench / "m.vidmetrics.toml").write_text(wide)
    assert selftest(only) == 1
    assert "LOST: vbench.temporal_flickering: flicker was caught from dose" in capsys.readouterr().out
    # What was not asked for is not lost.
    assert selftest(only, "--metrics=common.psnr") == 0
    assert selftest("--only=blur", "--metrics=common.psnr") == 0


def test_a_second_run_computes_nothing(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest("--only=noise", "--record") == 0
    entries = sorted((bench / "store").rglob("*"))

    def refuse(*args: object) -> None:
        raise AssertionError("a metric was computed again")

    monkeypatch.setattr("pytest_vidmetrics.metrics.common.psnr.PSNR.compute", refuse)
    assert selftest("--only=noise") == 0
    assert sorted((bench / "store").rglob("*")) == entries


def test_what_cannot_be_tried_is_said(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench / "m.vidmetrics.toml").write_text(MANIFEST.replace('"common.psnr"', '"common.psnr", "vbench.quality"'))
    assert selftest("--only=exchanged prompts,quieter sound") == 0
    out = capsys.readouterr().out
    assert "not tried: vbench.quality: it combines others" in out
    assert "exchanged prompts" not in out


@pytest.mark.parametrize(("only", "message"), [("flickr", "'flicker'"), ("", "unknown degradation")])
def test_an_unknown_degradation_is_named(
    bench: Path, capsys: pytest.CaptureFixture[str], only: str, message: str
) -> None:
    assert selftest(f"--only={only}") == 2
    assert message in capsys.readouterr().err


def test_tables_are_not_recorded_in_ci(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert selftest("--only=noise", "--record") != 0
    assert "--allow-ci-update" in capsys.readouterr().err
    assert not (bench / "baselines").exists()


def test_a_damaged_table_is_an_error(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = bench / "baselines" / "m" / "demo.sight.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"schema": 1, "caught": {"common.psnr": {"noise": 7}}}')
    assert selftest("--only=noise", "--metrics=common.psnr") != 0
    assert "not a table of selftest" in capsys.readouterr().err


def test_sound_is_damaged_in_memory() -> None:
    from pytest_vidmetrics.core.samples import Sample
    from pytest_vidmetrics.gates.selftest import _values
    from pytest_vidmetrics.media.degradations import DEGRADATIONS

    kinds = {one.name: one for one in DEGRADATIONS}
    sound = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    samples = [Sample(name, {"audio": (sound * (1 + i), 8000), "text_prompt": name}) for i, name in enumerate("ab")]
    muted = list(_values(samples, kinds["muted sound"], 3))
    assert all(not values["audio"][0].any() and values["audio"][1] == 8000 for values in muted)
    swapped = list(_values(samples, kinds["exchanged prompts"], 1))
    assert [values["text_prompt"] for values in swapped] == ["b", "a"]
    assert sound.any()


def test_the_quickstart_sees_what_its_committed_table_says(tmp_path: Path) -> None:
    """One degradation and one gate here; the whole table is a slow test."""
    command = ["selftest", str(QUICKSTART), "--device=cpu", f"--store={tmp_path}", f"--baseline-dir={BASELINES}"]
    assert main([*command, "--only=flicker", "--metrics=vbench.temporal_flickering"]) == 0
    recorded = json.loads((BASELINES / "quickstart" / "demo.sight.json").read_text())["caught"]
    assert recorded["vbench.temporal_flickering"]["flicker"] == 1
    assert recorded["common.psnr"]["blur"] is not None


@pytest.mark.slow
def test_the_whole_table_of_the_quickstart(tmp_path: Path) -> None:
    command = ["selftest", str(QUICKSTART), "--device=cpu", f"--store={tmp_path}", f"--baseline-dir={BASELINES}"]
    assert main(command) == 0


def test_a_gate_that_decides_early_is_tried_on_all_clips(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ("--only=noise", "--metrics=vbench.temporal_flickering")
    assert selftest(*only) == 0
    usual = [line for line in capsys.readouterr().out.splitlines() if "noise" in line]
    rule = '[case.demo.gate.default]\ndecide = "sequential"\nmax_n = 2\n'
    (bench / "m.vidmetrics.toml").write_text(MANIFEST + rule)
    assert selftest(*only) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "noise" in line] == usual


@pytest.mark.slow
def test_two_processes_fill_the_store_and_the_table_is_the_same(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    only = "--only=flicker,noise"
    assert selftest(only) == 0
    usual = capsys.readouterr().out
    monkeypatch.setattr("pytest_vidmetrics.metrics.common.psnr.PSNR.compute", _refuse)  # in this process only
    assert main(["selftest", "m.vidmetrics.toml", "--device=cpu", "--store=other", only, "-n", "2"]) == 0
    assert capsys.readouterr().out == usual


def _refuse(*_: object) -> None:
    raise AssertionError("computed in the process that only reads")
