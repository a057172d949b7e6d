"""The next item's clips are read while this one is scored: alone, as a worker of pytest-xdist, and in a gate."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import ahead, digest_index, loading
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from tests.plugin.conftest import MANIFEST, PLAIN, Bench, verdicts

# Scoring a clip waits until the next one was read: without look-ahead it would wait in vain.
CONFTEST = """
import pathlib, threading
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import loading
from pytest_vidmetrics.metrics.base import BaseMetric

clips, changed, real = [], threading.Condition(), loading.read

def noted(value, *rest):
    clip = real(value, *rest)
    with changed:
        clips.append(pathlib.Path(value).stem)
        changed.notify_all()
    return clip

loading.read = noted

class Probe(BaseMetric):
    requires_reference = False

    def compute(self, sample):
        name = pathlib.Path(sample["video_path"]).stem
        if pathlib.Path("fault").exists():
            raise ValueError("a fault")
        following = chr(ord(name) + 1)
        with changed:
            last = following > "d" or pathlib.Path("alone").exists()
            found = last or changed.wait_for(lambda: following in clips, 300)
        if not found:
            raise RuntimeError(f"{following} was not read while {name} was scored")
        return MetricResult(self.name, float(len(sample["video"])))

def pytest_vidmetrics_register_metrics(registry):
    registry.register("probe.ahead")(Probe)

def pytest_sessionfinish():
    loading.read = real  # the module outlives a run within another one
    pathlib.Path("clips.txt").write_text(" ".join(clips))
"""


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.pytester.makeconftest(CONFTEST)
    bench.manifest(MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"probe.ahead"'))
    return bench


def read(bench: Bench) -> list[str]:
    return (bench.root / "clips.txt").read_text().split()


@pytest.mark.parametrize("how", [("-p", "no:xdist"), ("-n", "1"), ("-p", "no:xdist", "::demo::probe.ahead")])
def test_decoding_is_hidden_behind_scoring(probed: Bench, how: tuple[str, ...]) -> None:
    args = [f"bench.vidmetrics.toml{arg}" if arg.startswith("::") else arg for arg in how]
    result = probed.run("--update-baselines", *args)
    assert verdicts(result) == {"probe.ahead": "RECORDED"}
    if "-n" not in how:
        assert sorted(read(probed)) == ["a", "b", "c", "d"]


def test_a_run_that_ends_early_reads_no_further_and_is_the_same(probed: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "loaders", lambda processors: 1)  # a large machine reads further
    (probed.root / "fault").touch()
    result = probed.run("-x", "-p", "no:xdist")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["a: ValueError: a fault"])
    assert len(read(probed)) <= 3
    (probed.root / "fault").rename(probed.root / "alone")
    probed.run("--lf", "-p", "no:xdist").assert_outcomes(passed=1)
    assert read(probed) == ["a"]


@pytest.mark.parametrize("item", ["", "::demo::probe.stops"], ids=["scoring", "gate"])
def test_ctrl_c_while_clips_are_read_ahead_leaves_no_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, item: str
) -> None:
    found, real = threading.Event(), loading.read

    def read(value: Any, *rest: Any) -> Any:
        if Path(value).stem == "b":
            found.set()
        return real(value, *rest)

    class Probe(BaseMetric):
        requires_reference = False
        scored = 0

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            assert found.wait(300), "the next clip was not read"
            signal.raise_signal(signal.SIGINT)
            Probe.scored += 1
            return MetricResult(self.name, 1.0)

    register("probe.stops")(Probe)
    monkeypatch.setattr(loading, "read", read)
    bench.manifest(MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"probe.stops"'))
    before = set(threading.enumerate())
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
    try:
        args = [*PLAIN, "-p", "no:xdist", "--vidmetrics=all", f"bench.vidmetrics.toml{item}"]
        ended = bench.pytester.inline_run(*args, no_reraise_ctrlc=True)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert ended.ret == pytest.ExitCode.INTERRUPTED
    assert Probe.scored == 0
    assert set(threading.enumerate()) <= before


def test_before_the_first_score_only_that_clip_and_the_next_ones_are_hashed_and_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many clips: the device begins after one, and not after all were hashed."""
    names = [f"{number:02d}" for number in range(12)]
    for path in (bench.root / "clips" / "candidate").iterdir():
        path.unlink()
    reference = bench.root / "clips" / "reference" / "a.mp4"
    for name in names:  # other bytes, equal frames
        bench.candidate(name).write_bytes(reference.read_bytes() + b"\x00\x00\x00\x0afree" + name.encode())
    touched: dict[str, set[str]] = {"hashed": set(), "read": set()}
    seen: list[dict[str, set[str]]] = []

    def noted(module: Any, function: str, what: str) -> None:
        real = getattr(module, function)

        def note(value: Any, *rest: Any) -> Any:
            touched[what].add(Path(value).stem)
            return real(value, *rest)

        monkeypatch.setattr(module, function, note)

    class Probe(BaseMetric):
        requires_reference = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            seen.append({what: set(found) for what, found in touched.items()})
            return MetricResult(self.name, 1.0)

    register("probe.first")(Probe)
    monkeypatch.setattr(ahead, "loaders", lambda processors: 1)
    noted(loading, "read", "read")
    noted(digest_index, "digest_file", "hashed")
    one = MANIFEST.replace('reference = "clips/reference/*.mp4"\n', "")
    bench.manifest(one.replace('"common.psnr", "vbench.temporal_flickering"', '"probe.first"'))
    result = bench.run("--update-baselines", "-p", "no:xdist")
    assert verdicts(result) == {"probe.first": "RECORDED"}
    assert touched == {"hashed": set(names), "read": set(names)}
    assert len(seen) == len(names)
    for what, found in seen[0].items():
        assert {"00"} <= found <= {"00", "01", "02"}, what
