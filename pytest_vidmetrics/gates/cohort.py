"""Cohorts by fact: a baseline belongs to the kind of machine that its facts name, and judges no other kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.core.text import read_text
from pytest_vidmetrics.core.wording import shown

AUTO = ("device", "attention", "cudnn")
"""What ``cohort = "auto"`` keys on, as far as it is known: what scores, how exactly, and how the clips were made."""

FILE = "facts.json"
"""Beside the clips: facts of the machine that made them, an object of texts."""

_LONGEST = 50


def facts_beside(corpus: Corpus) -> dict[str, str]:
    """Return the facts in the files ``facts.json`` beside the clips under test; of several folders, all values.

    Raises ``VidmetricsError`` for a file that is not an object of texts.
    """
    folders = sorted({str(Path(sample.path).parent) for sample in corpus.samples if sample.path})
    found: dict[str, set[str]] = {}
    for folder in folders:
        for key, value in _read(Path(folder) / FILE).items():
            found.setdefault(key, set()).add(value)
    return {key: " and ".join(sorted(values)) for key, values in sorted(found.items())}


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        tree = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise VidmetricsError(f"cannot read the facts {path}: {error}") from error
    if not isinstance(tree, dict) or not all(isinstance(value, str) and value for value in tree.values()):
        raise VidmetricsError(f'{path}: expected an object of texts, {{"attention": "sdpa"}}, got {shown(tree)}')
    return tree


def chosen(known: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the facts that a cohort is keyed by. Raises ``VidmetricsError`` for one that is named and not known."""
    # "auto" takes what is known, while a name that somebody wrote must be known.
    if tuple(names) != AUTO and (lost := [name for name in names if name not in known]):
        raise VidmetricsError(
            f"cohort: the fact {shown(lost[0])} is not known (known: {', '.join(sorted(known))}): write it into "
            f"{FILE} beside the clips, or set it in the hook pytest_vidmetrics_update_environment"
        )
    return {name: known[name] for name in names if name in known}


def name_of(facts: Mapping[str, str]) -> str:
    """Return the name of a cohort, as it stands in file names: its facts, with a digest where they do not fit."""
    # Device names such as "NVIDIA H100 (SXM)" become readable words first.
    text = re.sub(r"[() ]+", "-", "-".join(facts.values()).casefold()).strip("-") or "unknown"
    # A text with other signs, or a long one, is told apart by the digest of its facts.
    plain = re.sub(r"[^a-z0-9.-]+", "-", text)
    if plain == text and len(plain) <= _LONGEST:
        return plain
    digest = digest_json(dict(facts))[:8]
    return f"{plain[: _LONGEST - len(digest) - 1].rstrip('-')}-{digest}"


def text_of(facts: Mapping[str, str]) -> str:
    """Return facts as a reader sees them."""
    return ", ".join(f"{name} {value}" for name, value in facts.items()) or "no known facts"


def separating(
    facts: Sequence[Mapping[str, str]], low: Iterable[int], high: Iterable[int]
) -> dict[str, tuple[str, str]]:
    """Return the facts with one value in all of one group of runs and another in all of the other: ``(low, high)``."""
    lows, highs = [facts[i] for i in low], [facts[i] for i in high]
    names = sorted(set[str]().union(*facts))
    found = {}
    # A fact that some runs do not have counts as an empty one.
    for name in names:
        here, there = {one.get(name, "") for one in lows}, {one.get(name, "") for one in highs}
        if len(here) == len(there) == 1 and here != there:
            found[name] = (here.pop(), there.pop())
    return found
