"""The fault table, files: disks that fill up, torn entries, clocks that jump, baselines that are not whole."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_vidmetrics.core import files
from tests.plugin.conftest import MANIFEST, Bench, verdicts
from tests.support.faults import LISTED, assert_recovers, assert_store_is_sound, contents

GATES = {"common.psnr", "vbench.temporal_flickering"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT], ids=errno.errorcode.get)
def test_a_store_that_fills_up_or_turns_read_only_during_the_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    bench.record()
    before = contents(bench)
    for extra in ((), ("--update-baselines",)):
        with monkeypatch.context() as patch:
            _break_writes(patch, code, after=3)
            result = bench.run("--vidmetrics-cache=fresh", *extra)
        assert result.ret == 1
        assert verdicts(result) == dict.fromkeys(GATES, "ERROR")
        result.stdout.fnmatch_lines([f"*cannot write to the result store *fresh/store: {os.strerror(code)}; free*"])
        assert contents(bench) == before
        assert_store_is_sound(bench)
        shutil.rmtree(bench.root / "fresh")
    assert_recovers(bench, GATES, before)


def _break_writes(patch: pytest.MonkeyPatch, code: int, after: int) -> None:
    """Let writes of result entries fail, as a full disk does, once ``after`` of them went well."""
    written = []
    real = files.tempfile.mkstemp

    def mkstemp(*, dir: Path, **rest):
        if "results" in Path(dir).parts:
            written.append(dir)
            if len(written) > after:
                raise OSError(code, os.strerror(code), str(dir))
        return real(dir=dir, **rest)

    patch.setattr(files.tempfile, "mkstemp", mkstemp)


def test_a_disk_that_is_full_in_the_middle_of_a_file_leaves_no_half(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record()
    before = contents(bench)

    class Full:
        def __init__(self, stream) -> None:
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *error) -> None:
            self.stream.close()

        def write(self, data: bytes) -> None:
            self.stream.write(data[: len(data) // 2] if b"score" in data else data)
            if b"score" in data:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __getattr__(self, name: str):
            return getattr(self.stream, name)

    with monkeypatch.context() as patch:
        patch.setattr(files, "os", SimpleNamespace(**{**vars(os), "fdopen": lambda *rest: Full(os.fdopen(*rest))}))
        result = bench.run("--vidmetrics-cache=fresh", "--update-baselines")
    assert result.ret == 1
    assert set(verdicts(result).values()) == {"ERROR"}
    assert not [path for path in (bench.root / "fresh").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert_recovers(bench, GATES, before)


def test_a_full_disk_while_baselines_are_written_keeps_the_old_ones(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record()
    before = contents(bench)
    bench.degrade("a")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files, "os", SimpleNamespace(**{**vars(os), "fsync": full}))
        result = bench.run("--update-baselines")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR: cannot write the baseline *No space left on device*"])
    assert contents(bench) == before
    assert bench.run("--update-baselines").ret == 0
    assert bench.run().ret == 0


@pytest.mark.parametrize("kind", ["results", "features"])
@pytest.mark.parametrize("damage", [b"", b"\x00" * 4096, "half", "flipped"], ids=["empty", "zeros", "half", "flipped"])
def test_torn_store_files_are_computed_again(bench: Bench, kind: str, damage: bytes | str) -> None:
    bench.manifest(
        MANIFEST.replace(LISTED, '"common.psnr", "fvd"')
        + '\n[case.demo.metric.fvd]\nuse = "common.fvd"\nextractor = "motion_energy"\n'
    )
    bench.run("--update-baselines", "--vidmetrics-cache=fresh").assert_outcomes(passed=6)
    before = contents(bench)
    for path in (bench.root / "fresh" / "store" / kind).glob("*/*"):
        data = path.read_bytes()
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes({"half": data[:middle], "flipped": flipped}.get(str(damage), data and damage))
    judged = bench.run("--vidmetrics-judge", "--vidmetrics-cache=fresh")
    assert judged.ret == 1
    assert "ERROR" in verdicts(judged).values()
    assert_recovers(bench, {"common.psnr", "fvd"}, before)
    assert_store_is_sound(bench)


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_jumps_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    """No result depends on a time: stores, clips and baselines from the future or the past serve as before."""
    bench.record()
    before = contents(bench)
    shift = years * 365 * 86400
    for path in [path for path in bench.root.rglob("*") if path.is_file() and path.suffix != ".py"]:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + shift * 10**9))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - shift)
    result = bench.run()
    result.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *"])
    assert set(verdicts(result).values()) == {"PASS"}
    stat = bench.candidate("a").stat()
    bench.degrade("a")
    os.utime(bench.candidate("a"), ns=(stat.st_atime_ns, stat.st_mtime_ns))  # other content under the old time
    assert set(verdicts(bench.run()).values()) == {"REGRESSED"}
    assert contents(bench) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"[]", b"null", b'"text"', b"{}", b'{"schema": 1}', b"[" * 100_000, "half", "nan"],
    ids=["empty", "not UTF-8", "list", "null", "text", "no keys", "schema only", "nested", "half", "NaN"],
)
def test_a_corrupted_baseline_is_an_error_until_it_is_repaired(bench: Bench, content: bytes | str) -> None:
    bench.record()
    before = contents(bench)
    path = bench.baselines / "common.psnr.json"
    good = path.read_bytes()
    half, nan = good[: len(good) // 2], good.replace(b'"score": ', b'"score": NaN, "was": ')
    bad = {"half": half, "nan": nan}.get(str(content), content)
    assert isinstance(bad, bytes)
    path.write_bytes(bad)
    result = bench.run()
    assert result.ret == 1
    assert verdicts(result) == {"common.psnr": "ERROR", "vbench.temporal_flickering": "PASS"}
    result.stdout.fnmatch_lines(["*common.psnr.json*"])
    assert "Traceback" not in result.stdout.str()
    assert path.read_bytes() == bad
    path.write_bytes(good)
    assert_recovers(bench, GATES, before, cache="cache")
