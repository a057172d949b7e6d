"""A local S3 server, and a door before it that can refuse connections."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator

import pytest

_numbers = itertools.count()


class Door:
    """Lets connections through to a server, but for the next few after :meth:`refuse`."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to, self._live = to, set[socket.socket]()
        self._left = self.refused = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [self._start(self._serve)]

    def refuse(self, connections: int) -> None:
        """Cut every connection, and the next ones as soon as they are made."""
        self._left, self.refused = connections, 0
        for one in list(self._live):
            _cut(one)

    def close(self) -> None:
        """Let nobody in any more, and wait until everybody has left."""
        _cut(self._listening)
        self.refuse(0)
        for one in self._threads:
            one.join(10)
        self._listening.close()

    def _start(self, run: Callable[..., None], *args: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=run, args=args, daemon=True)
        thread.start()
        return thread

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._left:
                self._left -= 1
                self.refused += 1
                client.close()
                continue
            self._threads.append(self._start(self._connect, client))

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._to) as server:
            self._live |= {client, server}
            back = self._start(self._pump, server, client)
            self._pump(client, server)
            back.join()
            self._live -= {client, server}

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for end in (one, other):
            _cut(end)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving() -> Iterator[Door]:
    """Run an S3 server in this process and give the door to it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").disabled = True
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    door = Door(server.get_host_and_port())
    yield door
    door.close()
    server.stop()


def use_bucket(door: Door, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket, point the environment to its server, and return a URL in it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL": door.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket{next(_numbers)}"
    urllib.request.urlopen(urllib.request.Request(f"{door.url}/{name}", method="PUT"), timeout=30).close()
    return f"s3://{name}/results"
