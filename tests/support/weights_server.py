"""A server on this machine that holds files of weights: under the addresses of their publishers, and as a hub."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants

from pytest_vidmetrics.core.places import Source, forget_failures

COMMIT = "c" * 40
"""What the hub calls a revision that nobody named."""


class WeightsServer:
    """Files by address. ``seen`` are the requests, ``ranges`` the parts asked for; ``cut`` ends answers early."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.lists: dict[str, bytes] = {}
        self.seen: list[str] = []
        self.ranges: list[str | None] = []
        self.cut: list[int] = []
        self.address = ""

    def add(self, source: Source, path: Path) -> None:
        """Serve a file where a source says that it lies."""
        if source.kind() == "url":
            self.files[f"/mirror/{source.where.partition('://')[2]}"] = path
        else:
            self.files[f"/{source.where}/resolve/{source.revision or 'main'}/{source.filename}"] = path

    def add_repository(self, where: str, revision: str | None, folder: Path) -> None:
        """Serve a folder as a repository of the hub: its files, and the lists of them."""
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        commit = revision or COMMIT
        for path in paths:
            self.files[f"/{where}/resolve/{commit}/{path.name}"] = path
        tree = [{"type": "file", "path": path.name, "size": path.stat().st_size, "oid": "0" * 40} for path in paths]
        about = {"id": where, "sha": commit, "siblings": [{"rfilename": path.name} for path in paths]}
        self.lists[f"/api/models/{where}/tree/{commit}"] = json.dumps(tree).encode()
        self.lists[f"/api/models/{where}/revision/{revision or 'main'}"] = json.dumps(about).encode()

    def asked(self, method: str = "GET") -> list[str]:
        """Return the paths that were asked for by a method."""
        return [line.removeprefix(f"{method} ") for line in self.seen if line.startswith(f"{method} ")]


class _Handler(BaseHTTPRequestHandler):
    server_of: ClassVar[WeightsServer]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        served = self.server_of
        served.seen.append(f"{self.command} {self.path}")
        listed = served.lists.get(self.path.partition("?")[0])
        if listed is not None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(listed)))
            self.end_headers()
            self.wfile.write(listed)
            return
        path = served.files.get(self.path)
        if path is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        start = 0
        if body:
            served.ranges.append(self.headers.get("Range"))
        if given := self.headers.get("Range"):
            start = int(given.removeprefix("bytes=").partition("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        revision = self.path.split("/resolve/")[-1].split("/")[0]
        self.send_header("X-Repo-Commit", revision if len(revision) == 40 else COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if body:
            stop = start + served.cut.pop(0) if served.cut else len(data)
            self.wfile.write(data[start:stop])
            self.close_connection = stop < len(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsServer]:
    """Run the server as everybody's mirror and as the hub, with empty caches under ``cache``."""
    served = WeightsServer()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_of": served}))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    served.address = f"http://127.0.0.1:{httpd.server_address[1]}"
    monkeypatch.setenv("VIDMETRICS_CACHE", str(cache / "vidmetrics"))
    monkeypatch.setenv("VIDMETRICS_MIRROR", f"{served.address}/mirror")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "VIDMETRICS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", served.address)
    template = f"{served.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    forget_failures()
    try:
        yield served
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
        forget_failures()
