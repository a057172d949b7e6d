"""``vidmetrics list --weights`` on the true files: complete, narrow, quick, and true about what is here."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.commands._weights import known_files
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.weights import Weights, held, resolve
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks.published.catalogue import NETWORKS
from tests.support.weights_server import serving


def test_it_fits_eighty_columns_and_names_every_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path))
    assert main(["list", "--weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for network in NETWORKS:
        for file in network.files:
            assert f"{file.weights.name}  " in text
    assert "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2\n" in text
    assert "no known sha256" in text
    assert "another one is warned of" in " ".join(text.split())


def test_every_file_of_a_metric_is_in_the_catalogue_and_the_other_way_round() -> None:
    used = known_files(registry.list_metrics())
    catalogued = {file.weights for network in NETWORKS for file in network.files}
    shipped = {one for one, names in used.items() if any(name.split(".")[0] in _OURS for name in names)}
    assert shipped == catalogued


_OURS = {"audio", "common", "judge", "optical_flow", "physics_iq", "vbench", "videoscore2"}


def test_json_says_what_is_here(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path))
    monkeypatch.setenv("VIDMETRICS_AMT_S", str(tmp_path / "mine.pth"))
    assert main(["list", "vbench.motion_smoothness,common.fvd", "--weights", "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(found) == {
        "amt-s.pth",
        "fvd-i3d",
        "i3d-rgb-imagenet",
        "i3d-pretrained-400",
        "videomae-base",
        "clip-vit-base-patch32",
    }
    assert found["amt-s.pth"]["state"] == "local file is missing"
    assert found["fvd-i3d"]["state"] == "not here"
    assert found["fvd-i3d"]["container"].startswith("TorchScript")
    assert found["i3d-pretrained-400"]["sha256"] is None


def test_what_was_fetched_is_verified_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.bin").write_bytes(b"weights")
    with serving(tmp_path / "cache", monkeypatch) as server:
        hub = Weights("hub.bin", "org/name", "w.bin", revision="a" * 40, sha256=digest_file(tmp_path / "w.bin"))
        url = dataclasses.replace(hub, source="https://example.invalid/w.bin", filename=None, revision=None)
        for one in (hub, url):
            server.add(one.sources()[0], tmp_path / "w.bin")
            assert held(one) == (None, False)
            path = resolve(one)
            assert held(one) == (path, True)
            path.resolve().write_bytes(b"damaged later")
            assert held(one) == (path, False)


def test_it_imports_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pytest_vidmetrics.cli import main\n"
        "assert main(['list']) == main(['list', '--weights', '--json']) == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'transformers', 'av', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_list_counts_the_dimensions_of_vbench(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "vbench", "common.psnr"]) == 0
    assert "\nVBench: 16 of 16 dimensions; docs/vbench.md says what a clip costs\n" in capsys.readouterr().out
    assert main(["list", "common"]) == 0
    assert "VBench" not in capsys.readouterr().out
