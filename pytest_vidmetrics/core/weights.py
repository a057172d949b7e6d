"""Weights of published networks: where they come from, which bytes they must be, and where they lie here."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from pytest_vidmetrics.core.download import DownloadError
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.places import Source
from pytest_vidmetrics.core.verified import Verified

_WHOLE = 64
"""Digits of a sha256; a pin of fewer is how it begins, as torch writes it into names of files."""
_warned: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Weights:
    """One published file (or repository) of weights.

    ``source`` is a hub repository (``org/name``), an ``https`` URL, or a local path; ``filename`` is the file in
    a repository; ``revision`` pins a repository; ``sha256`` pins the bytes where it is known (its first digits,
    where no more is); ``size`` is in bytes where it is known; ``licence`` is the licence of the weights, which is
    shown to the user.
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
    others: tuple[Source, ...] = ()
    """Where else the same bytes can be had, in the order in which they are tried."""
    confirmed: bool = True
    """Whether more than one independent source recorded the sha256. Another sha256 is then refused, else warned of."""
    parts: tuple[tuple[str, str], ...] = ()
    """Of a whole repository: files in it whose sha256 is known."""

    def sources(self) -> tuple[Source, ...]:
        """Return the places to try, in order."""
        return (Source(self.source, self.filename, self.revision), *self.others)

    def kind(self) -> str:
        """Return ``"url"``, ``"path"`` or ``"hub"`` of the first source; ``""`` when it is none of them."""
        return self.sources()[0].kind()

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

    def pinned(self) -> str | None:
        """Return the whole sha256 that the bytes must have, if it is known for sure."""
        return self.sha256.lower() if self.sha256 and self.confirmed and len(self.sha256) == _WHOLE else None


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


def resolve(weights: Weights, metric: str | None = None, *, again: bool = False) -> Path:
    """Return where weights lie, fetching them when they are missing or damaged and fetching is allowed.

    The override variable wins, and its file is taken as it is. A file in the cache is hashed when its size or time
    changed since it was last verified, and fetched again when it is not what was fetched or what
    ``weights.sha256`` says. The sources are tried in order. ``again`` fetches whatever is there. ``metric`` is the
    name that the error message tells the user to fetch.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError`, which names the file, its source, size and
    licence and the command that gets it; ``ValueError`` for a source of no known kind.
    """
    local = weights.overridden()
    if local is not None:
        if not local.exists():
            raise _unavailable(weights, metric, f"${weights.override} names {local}, which does not exist")
        return local
    reasons: list[str] = []
    for source in weights.sources():
        if not source.kind():
            raise ValueError(
                f"checkpoint {weights.name!r}: source {source.where!r} is neither an existing path, "
                "nor a URL, nor a repository (org/name)"
            )
        # Every place is looked into before anything is fetched.
        held = source.cached(weights.name, weights.pinned())
        if held is None:
            continue
        if again:
            _discard(held)
        elif not (fault := _fault(weights, held)):
            return held
        else:
            reasons.append(fault)
    for source in weights.sources():
        try:
            return _fetched(weights, source)
        except DownloadError as error:
            reasons.append(f"{source}: {error}" if weights.others else str(error))
    raise _unavailable(weights, metric, "; ".join(dict.fromkeys(reasons)))


def verify(weights: Weights) -> str | None:
    """Return what is wrong with the cached copies of weights, all their bytes read; ``""`` when nothing is.

    ``None`` when nothing is cached, or a local file stands for it.
    """
    if weights.overridden() is not None:
        return None
    held = [found for source in weights.sources() if (found := source.cached(weights.name, weights.pinned()))]
    faults = [fault for path in held if (fault := _fault(weights, path, anew=True))]
    return "; ".join(faults) if held else None


def held(weights: Weights) -> tuple[Path | None, bool]:
    """Return where weights lie here, if they do, and whether they are as they were verified; nothing is read.

    A file of the override variable is the user's: it is never verified.
    """
    local = weights.overridden()
    if local is not None:
        return (local if local.exists() else None), False
    for source in weights.sources():
        if (path := source.lying(weights.name, weights.pinned())) is not None:
            return path, not path.is_dir() and Verified(path).is_current()
    return None, False


def weights_sha256(weights: Weights, metric: str | None = None) -> str:
    """Return the sha256 of the weights that :func:`resolve` gives.

    A pin that is certain needs no file; without one, or with an override, the file is hashed once.
    """
    if weights.overridden() is None and (pin := weights.pinned()):
        return pin
    path = resolve(weights, metric)
    of_the_user = weights.overridden() is not None or weights.kind() == "path" or path.is_dir()
    return digest_file(path) if of_the_user else Verified(path).digest()


def _fetched(weights: Weights, source: Source) -> Path:
    """Return what a source gives, checked. Raises :class:`DownloadError`."""

    def good(path: Path) -> bool:
        return path.exists() and not _fault(weights, path)

    pin = weights.pinned()
    # The size belongs to the bytes of a sure pin.
    path = source.fetch(weights.name, pin, weights.size if pin else None, good)
    if source.kind() == "path":
        if weights.sha256 and (found := digest_file(path)) != weights.sha256.lower():
            raise DownloadError(f"sha256 of {path} is {found}, expected {weights.sha256}")
    elif fault := _fault(weights, path, fetched=True):
        raise DownloadError(fault)
    return path


def _fault(weights: Weights, path: Path, *, fetched: bool = False, anew: bool = False) -> str:
    """Return why a cached file is not the wanted one; empty when it is, which is remembered.

    ``fetched`` says that it has just come: what was remembered of an earlier one does not count. ``anew`` reads all
    its bytes, whatever is remembered.
    """
    if path.is_dir():
        return _fault_of_parts(weights, path, anew=anew)
    verified = Verified(path)
    found = verified.digest(anew=anew or fetched)
    if weights.sha256 and not found.startswith(weights.sha256.lower()):
        if weights.confirmed:
            return f"sha256 of {path} is {found}, expected {weights.sha256}"
        _warn(weights, found)
    # Changed in the cache: by hand, or by a disk that fails.
    if verified.first and verified.first != found and not fetched:
        return f"{path} changed since it was fetched: its sha256 was {verified.first} and is {found}"
    verified.remember(found)
    return ""


def _fault_of_parts(weights: Weights, folder: Path, *, anew: bool) -> str:
    for name, sha256 in weights.parts:
        part = Weights(f"{weights.name}/{name}", weights.source, sha256=sha256)
        if (folder / name).is_file() and (fault := _fault(part, folder / name, anew=anew)):
            return fault
    return ""


def _warn(weights: Weights, found: str) -> None:
    if (weights.name, found) not in _warned:
        _warned.add((weights.name, found))
        warnings.warn(
            f"the sha256 of {weights.name} is {found}, not the recorded {weights.sha256}. Only one record of it is "
            "known, which may be wrong, so the file is used; please report this",
            stacklevel=2,
        )


def _discard(path: Path) -> None:
    """Remove a cached file, of the hub's cache also what its name points to."""
    if not path.is_dir():
        # The hub's names are links to blobs: the blob goes too, or it would be linked again.
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _unavailable(weights: Weights, metric: str | None, reason: str) -> UnavailableError:
    file = f"{weights.name} ({weights.filename})" if weights.filename else weights.name
    at = f"@{weights.revision}" if weights.revision else ""
    size = f"{weights.size / 1e6:.1f} MB" if weights.size is not None else "size unknown"
    hint = f", or set ${weights.override} to a local copy" if weights.override else ""
    return UnavailableError(
        f"weights {file} from {weights.source}{at} ({size}, licence: {weights.licence}) are not available: "
        f"{reason}. Get them with: vidmetrics fetch {metric or weights.name}{hint}"
    )
