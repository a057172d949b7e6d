"""Clips on object storage: what their store says of them, and a copy on this machine for as long as one is read."""

from __future__ import annotations

import errno
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from pytest_vidmetrics.core.errors import UnavailableError

_PLAIN = re.compile(r"[^/.][^/]*(?:/[^/.][^/]*)*")
"""A relative path that stays as it is spelled."""
_MANY = 20
"""Of how many objects of a folder the states are listed, not asked for one by one."""
_OTHERS = 20
"""How many objects a listing goes through for each one that is asked for."""
SCHEMES = ("s3", "gs", "az")


class State(NamedTuple):
    """What a store says of an object. Another content has another ``etag``."""

    size: int
    etag: str | None
    version: str | None


def is_url(value: object) -> bool:
    """Whether a value names an object on object storage."""
    return isinstance(value, str) and value.partition("://")[0] in SCHEMES and "://" in value


def placed(value: str, folder: Path) -> str:
    """Return a path of a row as it is opened: below ``folder`` unless it is absolute; a URL stays one."""
    if is_url(value):
        return value
    if value.startswith("file://"):
        return unquote(urlsplit(value).path)
    if _PLAIN.fullmatch(value) and len(where := str(folder)) > 1 and where[0] == "/":
        return f"{where}/{value}"  # as below, at a fifth of the cost
    return str(folder / value)


def state_of(url: str) -> State:
    """Return what the store says of an object. Raises ``OSError`` with the URL for one that cannot be had."""
    with _said(url) as (objects, name):
        return _state(objects.head(name))


def listed(urls: Iterable[str]) -> dict[str, State]:
    """Return what listings say of objects: a request for a thousand, where many of a folder are asked for.

    Objects that are few, that are not there, or that lie among far more others are left to :func:`state_of`, as are
    all where listing is not allowed. A listing says no ``version``.
    """
    folders: dict[str, set[str]] = {}
    for url in urls:
        folders.setdefault(url.rpartition("/")[0], set()).add(url)
    found: dict[str, State] = {}
    for folder, wanted in folders.items():
        if len(wanted) >= _MANY:
            with suppress(OSError), _said(folder) as (objects, prefix):
                seen = 0
                for batch in objects.list(prefix or None, chunk_size=1000):
                    places = ((f"{folder}/{meta['path'].removeprefix(prefix).lstrip('/')}", meta) for meta in batch)
                    found.update((url, _state(meta)) for url, meta in places if url in wanted)
                    seen += len(batch)
                    if seen > _OTHERS * len(wanted):
                        break
    return found


def fetch(url: str, folder: Path) -> tuple[Path, State, str]:
    """Copy an object into a folder; return the copy, its state when it was read, and the sha256 of its bytes.

    Raises ``OSError`` with the URL for one that cannot be had.
    """
    sha = hashlib.sha256()
    # Named by the whole URL: objects of one name in two folders do not meet.
    target = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}{Path(urlsplit(url).path).suffix}"
    with _said(url) as (objects, name), target.open("wb") as stream:
        found = objects.get(name)
        # Hashed while it is copied: the copy need not be read again.
        for chunk in found:
            data = bytes(chunk)
            sha.update(data)
            stream.write(data)
        return target, _state(found.meta), sha.hexdigest()


def _state(meta: Any) -> State:
    return State(meta["size"], meta["e_tag"], meta["version"])


@contextmanager
def _said(url: str) -> Iterator[tuple[Any, str]]:
    """Give the bucket of a URL and the name in it; turn what goes wrong into an ``OSError`` that names the URL."""
    parts = urlsplit(url)
    try:
        yield _bucket(f"{parts.scheme}://{parts.netloc}"), parts.path.lstrip("/")
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "there is no such object", url) from None
    except UnavailableError:
        raise
    except Exception as error:  # the library's own errors have no base that could be named without it
        raise OSError(errno.EIO, str(error).split("\n", maxsplit=1)[0], url) from error


@functools.lru_cache(64)
def _bucket(url: str) -> Any:
    try:
        from obstore import store
    except ImportError as error:
        raise UnavailableError(f"clips at {url} need obstore: pip install 'pytest-vidmetrics[object]'") from error
    return store.from_url(url)
