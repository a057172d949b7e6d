"""Baseline files that nobody uses any more, told by what each says of its recorder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.gates.folder import BaselineFolder, common_key
from pytest_vidmetrics.gates.recorder import Recorder


@dataclass(frozen=True)
class Used:
    """What a run knows: the keys of its gates, which manifests took part whole, and the test functions it collected.

    ``tests`` maps a test file, as recorders name it, to the ids of its functions; a file that was not collected is not
    in it.
    """

    keys: Collection[str]
    manifests: Collection[str]
    tests: Mapping[str, Collection[str]] = field(default_factory=dict)


def surplus_baselines(folder: BaselineFolder, used: Used) -> list[str]:
    """Return the keys of baselines that nobody uses, sorted.

    Those whose manifest or test file is gone, whose manifest took part and has no such gate, and whose test function
    is no longer in its file. A cohort's file (``gate@cohort.json``) is in use as long as its gate is. What cannot be
    read is nobody's to delete.
    """
    unused = ((key, owner) for key, owner in recorders(folder).items() if common_key(key) not in used.keys)
    return [key for key, owner in unused if _is_surplus(folder, owner, used)]


def idle_baselines(folder: BaselineFolder, used: Used) -> dict[str, list[str]]:
    """Return the baselines whose manifest is there and was not collected: ``{manifest: keys}``."""
    found: dict[str, list[str]] = {}
    for key, owner in recorders(folder).items():
        here = owner.kind == "manifest" and owner.exists(folder.path)
        if here and owner.file not in used.manifests and common_key(key) not in used.keys:
            found.setdefault(owner.file, []).append(key)
    return found


def unmade_checks(folder: BaselineFolder, passed: Collection[tuple[str, str]], made: Collection[str]) -> list[str]:
    """Return the keys of checks that a test did not make though it passed, sorted.

    ``passed`` are the test files, as recorders name them, and their functions; ``made`` the casefolded keys of checks.
    """
    return [
        key
        for key, owner in recorders(folder).items()
        if owner.kind == "check" and (owner.file, owner.node) in passed and common_key(key).casefold() not in made
    ]


def recorders(folder: BaselineFolder) -> dict[str, Recorder]:
    """Return who recorded each baseline that can be read."""
    found = {}
    for key in folder.all_keys():
        try:
            baseline = folder.read(key)
        except BaselineError:
            continue
        if baseline is not None:
            found[key] = baseline.recorded_by
    return found


def _is_surplus(folder: BaselineFolder, owner: Recorder, used: Used) -> bool:
    if not owner.exists(folder.path):
        # Nobody can read it again.
        return True
    if owner.kind == "manifest":
        # Its keys in use were taken out before: what is left has no gate.
        return owner.file in used.manifests
    return owner.file in used.tests and owner.node not in used.tests[owner.file]
