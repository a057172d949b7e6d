"""Checkpoints of published networks: where they come from, which bytes they must be, and how they are fetched."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.download import Download, DownloadError
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import digest_file, digest_json

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_UNSAFE = re.compile(r"[^\w.-]+")
# Formats of other frameworks, which nothing here reads.
_FOREIGN = ["*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "*.mlmodel", "onnx/*", "openvino/*"]

_GIVEN_UP = 600.0
"""For how many seconds a fetch that failed is not tried again: a run asks for the same weights for every clip."""
_failed: dict[str, tuple[float, str]] = {}
_repositories: dict[Weights, Path] = {}

_SWITCHED_OFF = "not in the cache, and $VIDMETRICS_OFFLINE or $HF_HUB_OFFLINE forbids fetching"


@dataclass(frozen=True)
class Weights:
    """One published file (or repository) of weights.

    ``source`` is a hub repository (``org/name``), an ``https`` URL, or a local path; ``filename`` is the file in
    a repository; ``revision`` pins a repository; ``sha256`` pins the bytes where it is known; ``size`` is in
    bytes where it is known; ``licence`` is the licence of the weights, which is shown to the user.
    """

    name: str
    source: str
    filename: str | None = None
    revision: str | None = None
    sha256: str | None = None
    size: int | None = None
    licence: str = "unknown"
    override: str | None = None
    """Environment variable that holds a local path to use instead of the download: the file, or a folder with it."""

    def kind(self) -> str:
        """Return ``"url"``, ``"path"`` or ``"hub"``; ``""`` when the source is none of them.

        A folder that happens to be named like a repository does not shadow it: write ``./org/name`` for that.
        """
        source = self.source
        if source.startswith(("https://", "http://")):
            return "url"
        path = Path(source).expanduser()
        if path.is_absolute() or source.startswith(("./", "../", "~")) or path.is_file():
            return "path"
        if _REPOSITORY.fullmatch(source):
            return "hub"
        return "path" if path.exists() else ""

    def or_local(self, weights: str | None) -> Weights:
        """Return this checkpoint, or the local file ``weights`` in its place."""
        return Weights(self.name, str(Path(weights).expanduser().absolute())) if weights else self

    def overridden(self) -> Path | None:
        """Return the local path that the override variable holds, if it is set; in a folder, that of ``filename``."""
        value = os.environ.get(self.override) if self.override else None
        if not value:
            return None
        path = Path(value).expanduser()
        return path / self.filename if self.filename and path.is_dir() else path


def ensure_checkpoint(
    name: str,
    source: str,
    filename: str | None = None,
    *,
    revision: str | None = None,
    sha256: str | None = None,
) -> str:
    """Return the local path of a checkpoint, fetching it when it is missing.

    ``source`` is a local path, a URL or a hub repository; ``filename`` the file in a repository or folder (the
    whole repository without it). Raises ``ValueError`` for a source that is none of these, and
    :class:`~pytest_vidmetrics.core.errors.UnavailableError` when the file cannot be had.
    """
    return str(resolve(Weights(name, source, filename, revision, sha256)))


def resolve(checkpoint: Weights, metric: str | None = None) -> Path:
    """Return where a checkpoint lies, fetching it when it is missing and fetching is allowed.

    The override variable wins, and its file is taken as it is. Otherwise the bytes are checked against
    ``checkpoint.sha256``. ``metric`` is the name that the error message tells the user to fetch.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError`, which names the file, its source, size and
    licence and the command that gets it; ``ValueError`` for a source of no known kind.
    """
    local = checkpoint.overridden()
    if local is not None:
        if not local.exists():
            raise _unavailable(checkpoint, metric, f"${checkpoint.override} names {local}, which does not exist")
        return local
    kind = checkpoint.kind()
    if not kind:
        raise ValueError(
            f"checkpoint {checkpoint.name!r}: source {checkpoint.source!r} is neither an existing path, "
            "nor a URL, nor a repository (org/name)"
        )
    fetch = {"path": _from_path, "url": _from_url, "hub": _from_hub}[kind]
    try:
        path = fetch(checkpoint)
    except DownloadError as error:
        raise _unavailable(checkpoint, metric, str(error)) from error
    # A file in the URL cache was checked before it got its name, and its folder is named after its pin.
    if checkpoint.sha256 and kind != "url" and (found := digest_file(path)) != checkpoint.sha256.lower():
        raise _unavailable(checkpoint, metric, f"sha256 of {path} is {found}, expected {checkpoint.sha256}")
    return path


def weights_sha256(checkpoint: Weights, metric: str | None = None) -> str:
    """Return the sha256 of the weights that :func:`resolve` gives.

    The pinned one needs no file; without a pin, or with an override, the file is read once per process.
    """
    if checkpoint.sha256 and checkpoint.overridden() is None:
        return checkpoint.sha256.lower()
    return digest_file(resolve(checkpoint, metric))


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


def _from_path(checkpoint: Weights) -> Path:
    path = Path(checkpoint.source).expanduser()
    if path.is_dir() and checkpoint.filename:
        path /= checkpoint.filename
    if not path.exists():
        raise DownloadError(f"{path} does not exist")
    return path


def _from_url(checkpoint: Weights) -> Path:
    # Two addresses, or two pins of one address, never share a file.
    key = digest_json([checkpoint.source, checkpoint.sha256])[:16]
    url = mirrored(checkpoint.source)
    name = _UNSAFE.sub("_", checkpoint.name)[-100:] or "weights"
    target = get_cache_dir() / "models" / key / name
    if target.exists():
        return target
    if is_offline():
        raise DownloadError(_SWITCHED_OFF)
    download = Download(url, checkpoint.sha256, checkpoint.size, name=checkpoint.name)
    return _unless_given_up(url, url, lambda: download.to(target))


def _from_hub(checkpoint: Weights) -> Path:
    """Return the file or folder; the hub is asked only for a file that its cache does not hold.

    A repository without a revision is not looked up again: its scores must not change between two runs by themselves.
    """
    import huggingface_hub

    if checkpoint.filename:
        cached = huggingface_hub.try_to_load_from_cache(
            checkpoint.source, checkpoint.filename, revision=checkpoint.revision
        )
        if isinstance(cached, str):
            return Path(cached)
    elif (known := _repositories.get(checkpoint)) is not None and known.is_dir():
        return known
    if is_offline():
        found = _ask_hub(checkpoint, offline=True)
    else:
        found = _unless_given_up(repr(checkpoint), "hub", lambda: _ask_hub(checkpoint, offline=False))
    if not checkpoint.filename:
        _repositories[checkpoint] = found
    return found


def _ask_hub(checkpoint: Weights, *, offline: bool) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    where = {"revision": checkpoint.revision, "local_files_only": offline}
    try:
        if checkpoint.filename:
            return Path(huggingface_hub.hf_hub_download(checkpoint.source, checkpoint.filename, **where))
        return Path(huggingface_hub.snapshot_download(checkpoint.source, ignore_patterns=_FOREIGN, **where))
    except Exception as error:  # its errors have no common base: HTTP, file system, validation
        text = " ".join(str(error).split()) or type(error).__name__
        kind = _UnreachableError if isinstance(error, LocalEntryNotFoundError) else DownloadError
        raise (DownloadError(_SWITCHED_OFF) if offline else kind(text)) from error


class _UnreachableError(DownloadError):
    """The server did not answer: neither will it for the next file."""


def _unless_given_up(file: str, server: str, fetch: Callable[[], Path]) -> Path:
    """Run a fetch, or repeat the error of a file or a server that could not be had a short while ago."""
    for key in (file, server):
        since, reason = _failed.get(key, (float("-inf"), ""))
        if time.monotonic() - since < _GIVEN_UP:
            raise DownloadError(reason)
    try:
        return fetch()
    except DownloadError as error:
        _failed[server if isinstance(error, _UnreachableError) else file] = time.monotonic(), str(error)
        raise


def forget_failures() -> None:
    """Let every file be tried anew, and every repository be looked up again."""
    _failed.clear()
    _repositories.clear()


def _unavailable(checkpoint: Weights, metric: str | None, reason: str) -> UnavailableError:
    file = f"{checkpoint.name} ({checkpoint.filename})" if checkpoint.filename else checkpoint.name
    at = f"@{checkpoint.revision}" if checkpoint.revision else ""
    size = f"{checkpoint.size / 1e6:.1f} MB" if checkpoint.size is not None else "size unknown"
    hint = f", or set ${checkpoint.override} to a local copy" if checkpoint.override else ""
    return UnavailableError(
        f"weights {file} from {checkpoint.source}{at} ({size}, licence: {checkpoint.licence}) are not available: "
        f"{reason}. Get them with: vidmetrics fetch {metric or checkpoint.name}{hint}"
    )
