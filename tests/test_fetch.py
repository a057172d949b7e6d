"""``vidmetrics fetch``: all that a selection with all its options can need, what it leaves out, and how it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.commands.fetch import select
from pytest_vidmetrics.core import download
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric
from tests.support.weights_server import WeightsServer, serving

URL = "https://example.invalid/released/w.bin"


def names(*selection: str) -> set[str]:
    return {one.name for one in select(selection)}


@pytest.mark.parametrize(
    ("metric", "files"),
    [
        ("common.lpips", {"alexnet-owt-7be5be79.pth", "vgg16-397923af.pth", "squeezenet1_1-b8a52dc0.pth"}),
        ("common.fvd", {"fvd-i3d", "i3d-rgb-imagenet", "i3d-pretrained-400", "clip-vit-base-patch32", "videomae-base"}),
        ("audio.clap_score", {"clap-htsat-fused", "clap-music-speech-audioset", "clap-tokenizer"}),
        ("audio.wer", {"whisper-base/model.safetensors", "GLM-ASR-Nano-2512", "SenseVoiceSmall", "fsmn-vad"}),
        ("optical_flow", {"raft-things.pth", "dpflow-things-2012b5d6.ckpt", "dpflow-spring-69bac7fa.ckpt"}),
        ("vbench.temporal_flickering", {"raft-things.pth"}),
        ("vbench.total", {"raft-things.pth", "tag2text-swin-14m", "grit_b_densecap_objectdet.pth", "dino-vitb16"}),
    ],
)
def test_files_of_every_option_are_fetched(metric: str, files: set[str]) -> None:
    assert files <= names(metric)


def test_a_total_needs_what_its_parts_need() -> None:
    for name in registry.list_metrics():
        cls = registry.metric_class(name)
        if issubclass(cls, CompositeMetric):
            parts = {one for part in cls.parts for one in registry.metric_class(part).every_weights()}
            assert set(cls.every_weights()) == parts


def test_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "vbench", "audio.desync", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "left out: avocado (17.9 GB) of vbench.scene_vlm, which is not part of a group: name it" in out
    assert "left out: another file or repository that weights names (audio.desync)" in out
    assert main(["fetch", "vbench.scene_vlm", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "left out: avocado" not in out
    assert "another file or repository that model_name names (vbench.scene_vlm)" in out
    assert main(["fetch", "vbench.motion_smoothness", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "left out" not in out
    assert "1 files of 12.0 MB" in out
    assert "CC BY-NC 4.0 (non-commercial use only)" in out


@pytest.fixture
def body(tmp_path: Path) -> Path:
    (tmp_path / "w.bin").write_bytes(bytes(range(256)) * 200)
    return tmp_path / "w.bin"


@pytest.fixture
def server(tmp_path: Path, body: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsServer]:
    files = (
        Weights("w.bin", URL, sha256=digest_file(body), size=51_200, licence="MIT"),
        Weights("hub.bin", "org/name", "hub.bin", revision="a" * 40, sha256=digest_file(body), size=51_200),
    )

    class Fake(BaseMetric):
        def weights_files(self) -> tuple[Weights, ...]:
            return files

    Fake.name = "fake.metric"
    monkeypatch.setattr(registry, "_registry", {"fake.metric": Fake})
    monkeypatch.setattr(registry, "_discovered", True)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serving(tmp_path / "cache", monkeypatch) as served:
        for one in files:
            served.add(one.sources()[0], body)
        yield served


def test_a_broken_connection_is_taken_up_again_by_the_next_command(
    server: WeightsServer, body: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.cut = [20_000, *[0] * 6]
    assert main(["fetch", "w.bin"]) == 1
    assert "the connection ended after 20000 of 51200 bytes" in " ".join(capsys.readouterr().err.split())
    assert [path.stat().st_size for path in tmp_path.rglob("w.bin.part")] == [20_000]
    server.cut = []
    before = len(server.ranges)
    assert main(["fetch", "w.bin"]) == 0
    assert server.ranges[before:] == ["bytes=20000-"]
    (path,) = (path for path in (tmp_path / "cache").rglob("w.bin") if path.is_file())
    assert path.read_bytes() == body.read_bytes()
    assert not list(tmp_path.rglob("*.part*"))


def test_fetch_verify_and_again(server: WeightsServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "fake.metric"]) == 0
    assert main(["fetch", "fake.metric"]) == 0
    assert len(server.asked("GET")) == 2
    capsys.readouterr()
    assert main(["fetch", "fake.metric", "--verify"]) == 0
    out = capsys.readouterr().out
    assert "w.bin: as fetched" in out
    assert "hub.bin: as fetched" in out
    assert main(["fetch", "--again", "w.bin"]) == 0
    assert len(server.asked("GET")) == 3


def test_one_file_that_cannot_be_had_does_not_keep_the_others(
    server: WeightsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files = {path: file for path, file in server.files.items() if "mirror" not in path}
    assert main(["fetch", "fake.metric"]) == 1
    captured = capsys.readouterr()
    assert "HTTP status 404" in captured.err
    assert "1 of 2 files could not be fetched" in captured.err
    assert "hub.bin: /" in captured.out
