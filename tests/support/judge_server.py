"""A server that answers as a judge would, or fails, stalls and lies: on this machine only, and never for long."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Play = Callable[["Handler", Mapping[str, Any]], None]
"""Answers one request, whose body is given."""


@dataclass
class JudgeServer:
    """``plays[i]`` answers request ``i``, the last one all others. ``bodies`` and ``keys`` are what was sent."""

    plays: list[Play]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def play(self) -> Play:
        """Return how the request that was noted last is answered."""
        return self.plays[min(len(self.bodies), len(self.plays)) - 1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    judge: JudgeServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.judge.bodies.append(body)
        self.judge.keys.append(self.headers.get("Authorization"))
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may be gone
            self.judge.play()(self, body)

    def send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def judge_server(*plays: Play) -> Iterator[JudgeServer]:
    """Run a server until the block ends; those who stall are woken then."""
    judge = JudgeServer(list(plays))
    handler = type("Bound", (Handler,), {"judge": judge})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    judge.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        judge.over.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def says(text: str, model: str = "tiny-judge", finish: str = "stop") -> Play:
    """Answer with a text."""

    def play(handler: Handler, body: Mapping[str, Any]) -> None:
        message = {"role": "assistant", "content": text}
        tree = {"model": model, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
        handler.send(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})

    return play


def verdict(winner: str, **others: str) -> Play:
    """Answer that one clip is better."""
    reasons = {"video_1_analysis": "moves", "video_2_analysis": "moves too", "comparison": "one is better"}
    return says(json.dumps({**reasons, "winner": winner}), **others)


def brightest(handler: Handler, body: Mapping[str, Any], **others: str) -> None:
    """Prefer the clip whose first frame is brighter, wherever it stands: a judge without position bias."""
    import base64
    import io

    from PIL import Image, ImageStat

    pictures = [part["image_url"]["url"] for part in body["messages"][1]["content"] if part["type"] == "image_url"]
    half = len(pictures) // 2
    light = [
        ImageStat.Stat(Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("L")).mean[0]
        for url in (pictures[0], pictures[half])
    ]
    verdict("video_1" if light[0] > light[1] else "video_2", **others)(handler, body)


def refuses(status: int, text: str = "no", **headers: str) -> Play:
    """Answer with a status and a text."""
    return lambda handler, body: handler.send(
        status, text.encode(), {name.replace("_", "-"): value for name, value in headers.items()}
    )


def sends(data: bytes) -> Play:
    """Answer with bytes and the status of an answer."""
    return lambda handler, body: handler.send(200, data)


def half(handler: Handler, body: Mapping[str, Any]) -> None:
    """Promise more bytes than are sent."""
    data = json.dumps({"choices": []}).encode()
    handler.send(200, data, {"Content-Length": str(len(data) + 100)})


def stalls(handler: Handler, body: Mapping[str, Any]) -> None:
    """Say nothing."""
    handler.judge.over.wait(20)


def drips(handler: Handler, body: Mapping[str, Any]) -> None:
    """Send a byte now and then, so that no single read ever waits long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        if handler.judge.over.wait(0.1):
            return


def hangs_up(handler: Handler, body: Mapping[str, Any]) -> None:
    """Close the connection."""
