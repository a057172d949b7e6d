"""Files and whole repositories of the hub, from its cache where they are there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pytest_vidmetrics.core.download import DownloadError

# Formats of other frameworks, and code: nothing here reads them.
_FOREIGN = ["*.py", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "*.mlmodel", "onnx/*", "openvino/*"]


class UnreachableError(DownloadError):
    """The server did not answer: neither will it for the next file."""


def cached(repository: str, filename: str, revision: str | None) -> Path | None:
    """Return a file that the hub's cache holds, without asking the hub."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(repository, filename, revision=revision)
    return Path(found) if isinstance(found, str) else None


def cached_repository(repository: str, revision: str | None) -> Path | None:
    """Return the folder of a repository that the hub's cache holds, by its settings; other files of it may lack."""
    found = (cached(repository, name, revision) for name in ("config.json", "config.yaml"))
    return next((path.parent for path in found if path is not None), None)


def fetch_file(repository: str, filename: str, revision: str | None, *, offline: bool, again: bool = False) -> Path:
    """Return a file, from the cache or from the hub; ``again`` replaces what the cache holds.

    Raises :class:`DownloadError` when it cannot be had, :class:`UnreachableError` when nothing can.
    """
    import huggingface_hub

    options = {"revision": revision, "local_files_only": offline, **({"force_download": True} if again else {})}
    with _explained():
        return Path(huggingface_hub.hf_hub_download(repository, filename, **options))


def fetch_repository(repository: str, revision: str | None, *, offline: bool) -> Path:
    """Return the folder of a repository with all of it that this project can read, which is no code.

    Raises :class:`DownloadError` and :class:`UnreachableError` as :func:`fetch_file` does.
    """
    import huggingface_hub

    options = {"revision": revision, "local_files_only": offline, "ignore_patterns": _FOREIGN}
    with _explained():
        return Path(huggingface_hub.snapshot_download(repository, **options))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn the hub's errors, which have no common base (HTTP, file system, validation), into ours."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        yield
    except Exception as error:
        # The hub's messages have several lines.
        text = " ".join(str(error).split()) or type(error).__name__
        raise (UnreachableError if isinstance(error, LocalEntryNotFoundError) else DownloadError)(text) from error
