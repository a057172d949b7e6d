"""One file over HTTP: resumed after a cut, checked before it is visible, fetched once by many processes.

What talks to a server is imported where it is needed: a run that fetches nothing does not pay for it.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import functools
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

_CHUNK = 1 << 20
_OF_THE_DISK = frozenset({errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR})
_PERMANENT = frozenset({400, 401, 403, 404, 405, 410, 451})


class DownloadError(OSError):
    """A file that could not be fetched, or whose bytes are not the promised ones."""


class _ChangedError(DownloadError):
    """The partial file is of no use: the next attempt starts from the beginning."""


@dataclass(frozen=True)
class Download:
    """What to fetch and what it has to be.

    ``sha256`` and ``size`` (bytes) are checked where they are known. ``timeout`` is seconds without a byte;
    ``attempts`` counts attempts in a row that bring nothing new; ``pause`` is the wait before the first retry
    in seconds, which doubles. ``name`` labels the progress bar, which is shown when stderr is a terminal.
    """

    url: str
    sha256: str | None = None
    size: int | None = None
    timeout: float = 60.0
    attempts: int = 4
    pause: float = 0.5
    name: str = ""

    def to(self, target: Path, good: Callable[[Path], bool] = Path.exists) -> Path:
        """Fetch to ``target`` unless what is there is ``good``, and return it.

        Safe for threads, processes and machines that share the folder: the lock file lies beside the target,
        the target appears complete and checked or not at all. A partial file stays for the next try.
        Raises :class:`DownloadError`, and another ``OSError`` where the folder cannot be written.
        """
        # Looked at without the lock first: most calls find the file.
        if good(target):
            return target
        from filelock import FileLock

        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            # And with it again: another process may have fetched it meanwhile.
            if not good(target):
                part = target.with_name(f"{target.name}.part")
                self._fill(part)
                part.replace(target)
                _tag_file(part).unlink(missing_ok=True)
        return target

    def _fill(self, part: Path) -> None:
        import http.client
        import urllib.error

        failures, have, reason, seen = 0, -1, "", ""
        while failures < self.attempts:
            try:
                self._attempt(part)
                return
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, urllib.error.HTTPError):
                    # An error of HTTP is an open response.
                    error.close()
                    if error.code in _PERMANENT:
                        raise DownloadError(f"{self.url}: HTTP status {error.code} {error.reason}") from error
                if isinstance(error, _ChangedError):
                    part.unlink(missing_ok=True)
                    _tag_file(part).unlink(missing_ok=True)
                    if seen == str(error):
                        # Damage on the way differs from time to time: this server has another file.
                        raise DownloadError(f"{self.url}: {error}, twice: it is another file") from error
                    seen = str(error)
                elif isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                    raise DownloadError(f"{part.parent} cannot be written: {error}") from error
                reason = str(error) or type(error).__name__
            now = part.stat().st_size if part.exists() else 0
            failures = 1 if now > max(have, 0) else failures + 1
            have = max(have, now)
            if failures < self.attempts:
                time.sleep(self.pause * 2 ** (failures - 1))
        raise DownloadError(f"{self.url}: {reason} (after {self.attempts} attempts without progress)")

    def _attempt(self, part: Path) -> None:
        import urllib.error
        import urllib.request

        start = part.stat().st_size if part.exists() else 0
        # A compressed answer has no ranges of the file.
        request = urllib.request.Request(self.url, headers={"Accept-Encoding": "identity"})
        tag = _tag_file(part)
        if start:
            request.add_header("Range", f"bytes={start}-")
            # If the file changed meanwhile, the server sends all of it.
            if tag.exists():
                request.add_header("If-Range", tag.read_text("utf-8"))
        try:
            response = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            error.close()
            # The part may be whole already (cut between the last byte and the rename).
            self._check(part, start)
            return
        with response:
            # The server sends the whole file: what was there is overwritten.
            if response.status != 206:
                start = 0
            elif not str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-"):
                raise _ChangedError(f"asked for the bytes from {start}, got {response.headers.get('Content-Range')}")
            length = response.headers.get("Content-Length")
            expected = start + int(length) if length is not None else None
            checksum = _stated_md5(response.headers.get_all("x-goog-hash") or [])
            # Kept beside the part: the next attempt asks for the rest of this very file.
            if etag := response.headers.get("ETag"):
                tag.write_text(etag, "utf-8")
            else:
                tag.unlink(missing_ok=True)
            with part.open("ab" if start else "wb") as stream, _bar(self.name, start, expected) as bar:
                # Not read(): it waits for a full block, and what it holds is lost when the connection stalls.
                while block := response.read1(_CHUNK):
                    bar.update(stream.write(block))
                stream.flush()
                # Before it is checked and renamed: a crash must not leave a good name on a hole.
                os.fsync(stream.fileno())
        self._check(part, expected, checksum)

    def _check(self, part: Path, expected: int | None, md5: str | None = None) -> None:
        got = part.stat().st_size
        # Cut short: the part stays, and is continued.
        if expected is not None and got < expected:
            raise DownloadError(f"the connection ended after {got} of {expected} bytes")
        if self.size is not None and got != self.size:
            raise _ChangedError(f"{got} bytes, expected {self.size}")
        for kind, promised in (("sha256", self.sha256), ("md5", md5)):
            if promised is None:
                continue
            with part.open("rb") as stream:
                digest = hashlib.file_digest(stream, functools.partial(hashlib.new, kind, usedforsecurity=False))
            if digest.hexdigest() != promised.lower():
                raise _ChangedError(f"{kind} is {digest.hexdigest()}, expected {promised}")


def _bar(name: str, done: int, total: int | None) -> tqdm[None]:
    from tqdm import tqdm

    return tqdm(desc=name or None, initial=done, total=total, unit="B", unit_scale=True, leave=False, disable=None)


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _stated_md5(headers: list[str]) -> str | None:
    """Return the md5, as hexadecimal digits, that Google's storage states for the whole file."""
    # Several values may stand in one header, or in several.
    for field in ",".join(headers).split(","):
        kind, _, value = field.strip().partition("=")
        if kind == "md5":
            with contextlib.suppress(ValueError):
                return base64.b64decode(value, validate=True).hex()
    return None
