"""Where a file of weights can be had: the hub, a URL, a local path; and what was fetched from there before."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_vidmetrics.core import hub
from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.download import Download, DownloadError
from pytest_vidmetrics.core.hashing import digest_json

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_UNSAFE = re.compile(r"[^\w.-]+")
_GIVEN_UP = 600.0
"""For how many seconds a fetch that failed is not tried again: a run asks for the same weights for every clip."""
_SWITCHED_OFF = "not in the cache, and $VIDMETRICS_OFFLINE or $HF_HUB_OFFLINE forbids fetching"
_failed: dict[str, tuple[float, str]] = {}
_repositories: dict[Source, Path] = {}

Good = Callable[[Path], bool]
"""Whether a file that is there is the wanted one."""


@dataclass(frozen=True)
class Source:
    """One place that a file can be had from.

    ``where`` is a hub repository (``org/name``), an ``https`` URL, or a local path; ``filename`` the file in a
    repository or folder (the whole of it without one), ``revision`` the commit of a repository.
    """

    where: str
    filename: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.where}{at}" + (f" {self.filename}" if self.filename else "")

    def kind(self) -> str:
        """Return ``"url"``, ``"path"`` or ``"hub"``; ``""`` when it is none of them.

        A folder that happens to be named like a repository does not shadow it: write ``./org/name`` for that.
        """
        if self.where.startswith(("https://", "http://")):
            return "url"
        path = Path(self.where).expanduser()
        # An existing file wins over a repository of that name.
        if path.is_absolute() or self.where.startswith(("./", "../", "~")) or path.is_file():
            return "path"
        if _REPOSITORY.fullmatch(self.where):
            return "hub"
        return "path" if path.exists() else ""

    def cached(self, name: str, sha256: str | None) -> Path | None:
        """Return where the file or folder lies without asking anybody, if it does. It is not checked."""
        kind = self.kind()
        if kind == "url":
            target = self.target(name, sha256)
            return target if target.exists() else None
        if kind == "hub" and self.filename:
            return hub.cached(self.where, self.filename, self.revision)
        if kind == "hub":
            known = _repositories.get(self)
            # Removed meanwhile: looked up again.
            return known if known is not None and known.is_dir() else None
        return None

    def lying(self, name: str, sha256: str | None) -> Path | None:
        """Return where the file or folder lies, as :meth:`cached` does, also where that was not asked for yet."""
        if self.kind() == "path":
            path = Path(self.where).expanduser()
            path = path / self.filename if self.filename and path.is_dir() else path
            return path if path.exists() else None
        if self.kind() == "hub" and not self.filename:
            return hub.cached_repository(self.where, self.revision)
        return self.cached(name, sha256)

    def fetch(self, name: str, sha256: str | None, size: int | None, good: Good) -> Path:
        """Return the file or folder, fetched where what is there is not ``good``.

        ``sha256`` (whole) and ``size`` are checked before a file of a URL appears. Raises
        :class:`~pytest_vidmetrics.core.download.DownloadError`.
        """
        kind = self.kind()
        if kind == "path":
            return self._local()
        if kind == "url":
            return self._from_url(name, sha256, size, good)
        return self._from_hub(good)

    def target(self, name: str, sha256: str | None) -> Path:
        """Return where a URL's file is kept: two addresses, or two pins of one address, never share a file."""
        key = digest_json([self.where, sha256])[:16]
        return get_cache_dir() / "models" / key / (_UNSAFE.sub("_", name)[-100:] or "weights")

    def _local(self) -> Path:
        path = Path(self.where).expanduser()
        if path.is_dir() and self.filename:
            path /= self.filename
        if not path.exists():
            raise DownloadError(f"{path} does not exist")
        return path

    def _from_url(self, name: str, sha256: str | None, size: int | None, good: Good) -> Path:
        target = self.target(name, sha256)
        if is_offline():
            raise DownloadError(_SWITCHED_OFF)
        url = mirrored(self.where)
        try:
            return _unless_given_up(url, url, lambda: Download(url, sha256, size, name=name).to(target, good))
        except DownloadError:
            raise
        except OSError as error:
            raise DownloadError(
                f"the cache {get_cache_dir()} cannot be written ({error}): set $VIDMETRICS_CACHE to a folder that can"
            ) from error

    def _from_hub(self, good: Good) -> Path:
        """Ask the hub, unless fetching is forbidden.

        A repository without a revision is not looked up again: scores must not change between two runs by themselves.
        """
        offline = is_offline()

        def ask(again: bool = False) -> Path:
            if self.filename:
                return hub.fetch_file(self.where, self.filename, self.revision, offline=offline, again=again)
            return hub.fetch_repository(self.where, self.revision, offline=offline)

        try:
            if offline:
                return self._kept(ask())
            found = _unless_given_up(str(self), "hub", ask)
            # Damaged in the cache: fetched over what is there.
            if self.filename and not good(found):
                found = _unless_given_up(str(self), "hub", lambda: ask(again=True))
            return self._kept(found)
        except DownloadError as error:
            raise (DownloadError(_SWITCHED_OFF) if offline else error) from error

    def _kept(self, found: Path) -> Path:
        if not self.filename:
            _repositories[self] = found
        return found


def is_offline() -> bool:
    """Whether ``$VIDMETRICS_OFFLINE`` or ``$HF_HUB_OFFLINE`` forbids fetching."""
    values = (os.environ.get(name, "") for name in ("VIDMETRICS_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.strip().lower() in {"1", "true", "yes", "on"} for value in values)


def mirrored(url: str) -> str:
    """Return where a URL is fetched from: ``$VIDMETRICS_MIRROR/<host>/<path>`` when the variable is set.

    For networks that reach one server only. Hub repositories have ``$HF_ENDPOINT`` for the same purpose.
    """
    base = os.environ.get("VIDMETRICS_MIRROR", "").rstrip("/")
    return f"{base}/{url.partition('://')[2]}" if base else url


def forget_failures() -> None:
    """Let every file be tried anew, and every repository be looked up again."""
    _failed.clear()
    _repositories.clear()


def _unless_given_up(file: str, server: str, fetch: Callable[[], Path]) -> Path:
    """Run a fetch, or repeat the error of a file or a server that could not be had a short while ago."""
    for key in (file, server):
        since, reason = _failed.get(key, (float("-inf"), ""))
        if time.monotonic() - since < _GIVEN_UP:
            raise DownloadError(reason)
    try:
        return fetch()
    except DownloadError as error:
        # Of the server where nothing came at all, else of this file alone.
        _failed[server if isinstance(error, hub.UnreachableError) else file] = time.monotonic(), str(error)
        raise
