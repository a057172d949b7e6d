"""Which gate a name of the command line means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_vidmetrics.core.errors import VidmetricsError, closest

HELP = "its baseline file, with or without .json, its id, or the end of either"


def named(name: str, gates: Mapping[str, str], where: str = "the record") -> str:
    """Return the baseline file of the gate that a name means; ``gates`` are ids by their files, empty if unknown.

    Raises ``VidmetricsError`` for no gate and for several.
    """
    # An exact name wins: it may also be the end of another one.
    exact = [file for file, id in gates.items() if name in (file, file.removesuffix(".json"), id)]
    found = exact or [file for file, id in gates.items() if _ends(file.removesuffix(".json"), id, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise VidmetricsError(f"{name!r} means {len(found)} gates: {_some(found)}; name one of them")
    hint = closest(name, [file.removesuffix(".json") for file in gates])
    raise VidmetricsError(f"{where} has no gate {name!r}{hint}")


def _ends(file: str, id: str, name: str) -> bool:
    return file.endswith(f"/{name.removesuffix('.json')}") or id.endswith(f"::{name}")


def _some(files: Sequence[str]) -> str:
    return ", ".join(file.removesuffix(".json") for file in sorted(files)[:5])
