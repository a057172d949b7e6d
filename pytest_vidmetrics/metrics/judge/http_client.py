"""A judge behind an OpenAI-compatible HTTP interface, with nothing but the standard library.

What talks to a server is imported where it is needed: metrics are listed without it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.judge.calls import CallError, Reply, Request, Shown, excerpt

if TYPE_CHECKING:
    import http.client

ResponseFormat = Literal["json_schema", "json_object", "none"]
Send = Literal["video", "frames"]

URL_VARIABLE = "VIDMETRICS_JUDGE_URL"
KEY_VARIABLE = "VIDMETRICS_JUDGE_KEY"
_LARGEST_REPLY = 4 << 20
_AGAIN = (408, 409, 425, 429)
_QUALITY = 95


@dataclass(frozen=True)
class Server:
    """Where a judge is: the address of its interface, and the key that opens it.

    The key comes from the environment and is shown nowhere: not in messages, details or representations.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    key: str | None

    def __repr__(self) -> str:
        """Return the address without the key."""
        return f"Server({self.address!r})"

    @property
    def address(self) -> str:
        """The address, without anything secret."""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{self.host}{port}{self.path}"

    @classmethod
    def of(cls, url: str | None, key_variable: str, metric: str) -> Server:
        """Return the server at ``url``, or at the address in ``$VIDMETRICS_JUDGE_URL``.

        Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` without an address, for one that holds a secret,
        and for a key that would travel in clear text to another machine.
        """
        address = url or os.environ.get(URL_VARIABLE)
        if not address:
            raise UnavailableError(
                f"{metric} asks a judge and knows of none: set base_url or ${URL_VARIABLE} to an OpenAI-compatible "
                f"address (such as http://127.0.0.1:8000/v1), and ${key_variable} to its key if it wants one"
            )
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise UnavailableError(
                f"{metric}: {parts.hostname or 'the address of the judge'} is not an http(s) address"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UnavailableError(
                f"{metric}: the address of the judge at {parts.hostname} holds a user, a query or a fragment; "
                f"a key belongs into ${key_variable}"
            )
        key = os.environ.get(key_variable) or None
        if key and (not key.isascii() or not key.isprintable()):
            raise UnavailableError(f"{metric}: ${key_variable} holds signs that no key has")
        if key and parts.scheme == "http" and not _is_local(parts.hostname):
            raise UnavailableError(
                f"{metric}: the key in ${key_variable} would go to {parts.hostname} in clear text: use https"
            )
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), key)


def _is_local(host: str) -> bool:
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class HttpClient:
    """Asks a server; each call takes at most ``timeout_s``, whatever the server does meanwhile.

    ``send="video"`` sends the files as they are (``video_url``), ``"frames"`` their frames as JPEG (``image_url``),
    which every server for pictures takes. Nothing is followed, cached or kept at the server by this client.
    """

    server: Server
    model: str
    send: Send
    response_format: ResponseFormat
    max_tokens: int
    timeout_s: float
    waits: bool = True

    def identity(self) -> dict[str, Any]:
        """Return the model and the form of what is sent; the address is where it is, not what it is."""
        return {
            "client": "openai",
            "model": self.model,
            "send": self.send,
            "response_format": self.response_format,
            "max_tokens": self.max_tokens,
        }

    def ask(self, request: Request, attempt: int) -> Reply:
        """Return the reply to a request."""
        del attempt
        status, headers, data = self._exchange(json.dumps(self._body(request)).encode())
        if status != 200:
            raise self._refusal(status, headers, data)
        try:
            tree = json.loads(data)
            choice = tree["choices"][0]
            text, reason = choice["message"]["content"], choice.get("finish_reason")
        except (ValueError, LookupError, TypeError, RecursionError):
            # Without the cause, which holds what the server sent unescaped.
            raise CallError(f"the server sent something else than an answer: {self._safe(data)}", again=True) from None
        if isinstance(text, list):  # some servers send the parts of a message
            text = "".join(str(part.get("text", "")) for part in text if isinstance(part, Mapping))
        if not isinstance(text, str) or not text.strip():
            raise CallError("the server sent an answer without text", again=True)
        if reason == "length":
            raise CallError(f"the answer was cut at {self.max_tokens} tokens", again=True)
        served = tree.get("model")
        return Reply(self._without_key(text), self._without_key(served) if isinstance(served, str) else self.model)

    def _body(self, request: Request) -> dict[str, Any]:
        content = [part for one in request.parts for part in self._parts(one)]
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": content}],
            "temperature": request.temperature,
            "max_tokens": self.max_tokens,
            "n": 1,
            "stream": False,
        }
        if self.response_format == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif self.response_format == "json_schema":
            schema = {**request.schema, "additionalProperties": False}
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
        return body

    def _parts(self, part: str | Shown) -> Iterator[dict[str, Any]]:
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif part.kind == "image" or self.send == "video":
            yield _file_part(part)
        else:
            yield from _frame_parts(part)

    def _exchange(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and return status, headers and body. Raises :class:`CallError` when nothing whole comes back.

        A watch closes the connection when the time is over: a server that sends a byte now and then would otherwise
        never run into a time limit.
        """
        import http.client

        connection = self._connection()
        over = threading.Event()

        def cut() -> None:
            over.set()
            if (sock := connection.sock) is not None:
                with contextlib.suppress(OSError):
                    # Not close: only a shutdown wakes the thread that waits for bytes.
                    sock.shutdown(socket.SHUT_RDWR)

        watch = threading.Timer(self.timeout_s, cut)
        watch.daemon = True
        watch.start()
        try:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            if self.server.key:
                headers["Authorization"] = f"Bearer {self.server.key}"
            connection.request("POST", f"{self.server.path}/chat/completions", body, headers)
            response = connection.getresponse()
            # One byte more than allowed shows that there is more.
            data = response.read(_LARGEST_REPLY + 1)
            missing = response.length  # read(n) does not raise when the connection closes early
        except (OSError, http.client.HTTPException) as error:
            if over.is_set() or isinstance(error, TimeoutError):
                why = f"no answer within {self.timeout_s:g} s"
            else:
                why = self._without_key(f"{type(error).__name__}: {error}")
            raise CallError(f"{self.server.address}: {why}", again=True, is_down=True) from None
        finally:
            watch.cancel()
            connection.close()
        # Where the server gave no length, half an answer that was cut looks whole.
        if over.is_set():
            raise CallError(f"{self.server.address}: no answer within {self.timeout_s:g} s", again=True, is_down=True)
        if len(data) > _LARGEST_REPLY:
            raise CallError(f"the server sent more than {_LARGEST_REPLY >> 20} MB", again=True)
        if missing:
            raise CallError(f"the server sent half an answer: {missing} bytes are missing", again=True)
        return response.status, dict(response.headers), data

    def _connection(self) -> http.client.HTTPConnection:
        import http.client
        import ssl

        if self.server.scheme == "http":
            return http.client.HTTPConnection(self.server.host, self.server.port, timeout=self.timeout_s)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(self.server.host, self.server.port, timeout=self.timeout_s, context=context)

    def _refusal(self, status: int, headers: Mapping[str, str], data: bytes) -> CallError:
        again = status in _AGAIN or status >= 500
        pause = _seconds(next((value for name, value in headers.items() if name.lower() == "retry-after"), None))
        what = {401: "the server does not take the key", 403: "the server does not take the key", 429: "too many calls"}
        text = what.get(status, "the server does not follow redirects here" if 300 <= status < 400 else "it refuses")
        message = f"{self.server.address}: HTTP {status}, {text}: {self._safe(data)}"
        return CallError(message, again=again, is_down=again, pause_s=pause)

    def _safe(self, data: bytes) -> str:
        return excerpt(self._without_key(data.decode("utf-8", "replace")))

    def _without_key(self, text: str) -> str:
        # A server may repeat the key in what it says.
        return text.replace(self.server.key, "[key]") if self.server.key else text


def _seconds(value: str | None) -> float | None:
    """Return how long a server asks to wait: whole seconds, or until a date."""
    import email.utils

    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _file_part(part: Shown) -> dict[str, Any]:
    if part.path is None:
        raise CallError('only a clip in a file can be sent whole: use send = "frames"', again=False)
    path = Path(part.path)
    if path.is_dir():
        raise CallError(f'{path} is a folder of images, which cannot be sent whole: use send = "frames"', again=False)
    import mimetypes

    kind = mimetypes.guess_type(path.name)[0] or ("video/mp4" if part.kind == "video" else "image/png")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CallError(f"{path} cannot be read: {error.strerror}", again=False) from error
    name = f"{part.kind}_url"
    return {"type": name, name: {"url": _data_url(kind, data)}}


def _frame_parts(part: Shown) -> Iterator[dict[str, Any]]:
    from PIL import Image

    assert part.frames is not None
    count = len(part.frames)
    yield {"type": "text", "text": f"({count} frames of it, evenly spaced, in order:)"}
    for frame in part.frames:
        stream = io.BytesIO()
        Image.fromarray(frame.permute(1, 2, 0).cpu().contiguous().numpy()).save(stream, "JPEG", quality=_QUALITY)
        yield {"type": "image_url", "image_url": {"url": _data_url("image/jpeg", stream.getvalue())}}


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
