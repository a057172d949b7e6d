from __future__ import annotations

import base64
import hashlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_vidmetrics.core.download import Download, DownloadError

BODY = bytes(range(256)) * 4096
SHA = hashlib.sha256(BODY).hexdigest()
quick = partial(Download, pause=0.01, timeout=60.0)


@dataclass
class Plan:
    """How the server behaves: per request, in order; the last entry holds for the rest."""

    cut: list[int | None] = field(default_factory=lambda: [None])
    ranges: bool = True
    etag: list[str] = field(default_factory=lambda: ['"one"'])
    status: int | None = None
    stall: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    """Ends a stall."""
    md5: bytes | None = None
    declare: bool = True
    bodies: list[bytes] = field(default_factory=lambda: [BODY])
    seen: list[str | None] = field(default_factory=list)

    def turn(self, values: list) -> object:
        return values[min(len(self.seen) - 1, len(values) - 1)]


class Handler(BaseHTTPRequestHandler):
    plan: Plan

    def do_GET(self) -> None:
        plan = self.plan
        given = self.headers.get("Range")
        plan.seen.append(given)
        if plan.status is not None:
            self.send_error(plan.status)
            return
        body, etag = bytes(plan.turn(plan.bodies)), str(plan.turn(plan.etag))
        start = 0
        if given and plan.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(given.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if plan.declare:
            self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", etag)
        if plan.md5 is not None:
            self.send_header("x-goog-hash", "crc32c=AAAAAA==")
            self.send_header("x-goog-hash", f"md5={base64.b64encode(plan.md5).decode()}")
        self.end_headers()
        cut = plan.turn(plan.cut)
        try:
            self.wfile.write(body[start:] if cut is None else body[start : start + int(cut)])
            self.wfile.flush()
        except OSError:
            return
        plan.over.wait(plan.stall)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Plan], str]]:
    servers = []

    def start(plan: Plan) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (Handler,), {"plan": plan}))
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/weights.bin"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_plain(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan()
    target = tmp_path / "a" / "w.bin"
    assert quick(serve(plan), SHA, len(BODY)).to(target).read_bytes() == BODY
    assert leftovers(target.parent) == ["w.bin"]
    quick("http://127.0.0.1:1/never-asked").to(target)
    assert plan.seen == [None]


def test_a_cut_connection_is_resumed_where_it_ended(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(cut=[300_000, 200_000, None])
    quick(serve(plan), SHA).to(tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == BODY
    assert plan.seen == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_call_resumes(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(cut=[100_000, 0])
    with pytest.raises(DownloadError, match=f"ended after 100000 of {len(BODY)} bytes"):
        quick(serve(plan), SHA, attempts=2).to(tmp_path / "w.bin")
    assert not (tmp_path / "w.bin").exists()
    again = Plan()
    quick(serve(again), SHA).to(tmp_path / "w.bin")
    assert again.seen == ["bytes=100000-"]
    assert leftovers(tmp_path) == ["w.bin"]


def test_many_cuts_are_fine_while_each_brings_something(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(cut=[100_000] * 20)
    quick(serve(plan), SHA, attempts=2).to(tmp_path / "w.bin")
    assert len(plan.seen) == 11


def test_a_server_without_ranges_starts_over(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(cut=[300_000, None], ranges=False)
    quick(serve(plan), SHA).to(tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == BODY


def test_a_file_that_changed_in_between_starts_over(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(cut=[300_000, None], etag=['"old"', '"new"'], bodies=[b"x" * len(BODY), BODY])
    quick(serve(plan)).to(tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == BODY


def test_the_wrong_bytes_never_appear(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(bodies=[b"an error page"])
    with pytest.raises(DownloadError, match=r"sha256 is .*, expected"):
        quick(serve(plan), SHA, attempts=2).to(tmp_path / "w.bin")
    assert leftovers(tmp_path) in ([], ["w.bin.part.etag"])
    with pytest.raises(DownloadError, match=f"13 bytes, expected {len(BODY)}"):
        quick(serve(Plan(bodies=[b"an error page"])), size=len(BODY), attempts=2).to(tmp_path / "w.bin")


def test_damage_is_repaired_by_another_attempt(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(bodies=[b"y" * len(BODY), BODY])
    quick(serve(plan), SHA).to(tmp_path / "w.bin")
    assert plan.seen == [None, None]


def test_the_storages_own_checksum_is_compared(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    good = hashlib.md5(BODY, usedforsecurity=False).digest()
    quick(serve(Plan(md5=good))).to(tmp_path / "good.bin")
    with pytest.raises(DownloadError, match="md5 is"):
        quick(serve(Plan(md5=bytes(16))), attempts=1).to(tmp_path / "bad.bin")


def test_a_server_that_stalls_times_out_and_is_resumed(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(cut=[400_000, None], stall=300.0)
    start = time.monotonic()
    Download(serve(plan), SHA, timeout=2.0, pause=0.01).to(tmp_path / "w.bin")
    assert time.monotonic() - start < 300
    plan.over.set()
    assert plan.seen == [None, "bytes=400000-"]


@pytest.mark.parametrize("status", [403, 404])
def test_a_permanent_error_is_not_retried(serve: Callable[[Plan], str], tmp_path: Path, status: int) -> None:
    plan = Plan(status=status)
    with pytest.raises(DownloadError, match=f"HTTP status {status}"):
        quick(serve(plan)).to(tmp_path / "w.bin")
    assert len(plan.seen) == 1


def test_a_temporary_error_is_retried(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(status=503)
    with pytest.raises(DownloadError, match=r"503.*after 3 attempts"):
        quick(serve(plan), attempts=3).to(tmp_path / "w.bin")
    assert len(plan.seen) == 3


def test_a_part_that_is_whole_already_is_taken(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    (tmp_path / "w.bin.part").write_bytes(BODY)
    quick(serve(Plan()), SHA).to(tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == BODY


def test_without_a_declared_length(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    quick(serve(Plan(declare=False)), SHA).to(tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == BODY


def _race(url: str, target: Path, failures: object) -> None:
    threads = [threading.Thread(target=lambda: quick(url, SHA).to(target)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if target.read_bytes() != BODY:
        failures.put("wrong bytes")  # type: ignore[attr-defined]


def test_eight_threads_in_two_processes_fetch_once(serve: Callable[[Plan], str], tmp_path: Path) -> None:
    plan = Plan(cut=[500_000, None])
    url = serve(plan)
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    processes = [context.Process(target=_race, args=(url, tmp_path / "w.bin", failures)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0]
    assert failures.empty()
    assert plan.seen == [None, "bytes=500000-"]
    failures.close()
    failures.join_thread()
