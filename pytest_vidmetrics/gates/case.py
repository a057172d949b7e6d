"""The nouns of a manifest: cases, the metrics they configure, and the policy of each gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.policy import MetricConfig, Policy

if TYPE_CHECKING:
    from pytest_vidmetrics.gates.method import Method

SUFFIXES = (".vidmetrics.toml", ".vidmetrics.yaml", ".vidmetrics.yml", ".vidmetrics.json")


@dataclass(frozen=True)
class Location:
    """A line of a manifest, for messages."""

    path: Path
    line: int

    def error(self, message: str) -> ManifestError:
        """Return an error that starts with ``file:line``."""
        return ManifestError(f"{self.path}:{self.line}: {message}")


@dataclass(frozen=True)
class Case:
    """One ``[case.NAME]`` table: which clips, against what, measured how."""

    name: str
    where: Location
    media: Mapping[str, tuple[str, ...]]
    pair: str = "stem"
    """``"stem"``, ``"set"``, or a pattern with ``{id}`` that the ends of the clips' paths fit."""
    samples: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    """Keys of the rows by the sample keys that they stand for here: ``{theirs: ours}``."""
    broadcast: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] | None = None
    configs: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    fixtures: tuple[str, ...] = ()
    clips_per_item: int = 1
    scoring: Literal["items", "engine"] = "items"
    """Whether clips are items of the run, or scored elsewhere (``vidmetrics score``), so that there are gates only."""
    checkpoint: str | None = None
    cluster: str | None = None
    cohort: tuple[str, ...] = ()
    """The facts that key its baselines, see :mod:`.cohort`; none: one baseline judges every machine."""
    allow: tuple[str, ...] = ()
    """In what clips may differ, for every gate that does not say so itself."""
    dataset: str | None = None
    dataset_root: str | None = None
    methods: Mapping[str, Method] = field(default_factory=dict)
    """The generators that the case compares: each has the gates of the case on its own clips."""
    common: Literal["refuse", "intersect"] = "refuse"
    """What a ranking does with methods that have other samples."""
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def at(self, *keys: str) -> Location:
        """Return the line of a key inside this case, or of the case itself."""
        return Location(self.where.path, self.lines.get(("case", self.name, *keys), self.where.line))

    def policy(self, gate: str) -> Policy:
        """Return the policy of one gate, falling back to the case's ``default``."""
        chosen = self.policies.get(gate, self.policies.get("default", Policy()))
        # What the gate allows replaces what the case allows.
        return chosen if chosen.allow else replace(chosen, allow=self.allow)

    def part(self, name: str) -> MetricConfig:
        """Return the metric ``name`` with the parameters that the case gives the gate of that name, if any."""
        used, params = self.configs.get(name, (name, {}))
        # Parameters of another metric under this gate's name are not meant for it.
        return MetricConfig(name, name, params if used == name else {})


@dataclass(frozen=True)
class Manifest:
    """A parsed manifest file."""

    path: Path
    cases: tuple[Case, ...]

    @property
    def stem(self) -> str:
        """The file name without its ``.vidmetrics.*`` suffix: the folder of its baselines."""
        return manifest_stem(self.path)


def is_manifest(path: Path) -> bool:
    """Whether a file name says that it is a manifest."""
    return path.name.endswith(SUFFIXES)


def manifest_stem(path: Path) -> str:
    """Return the file name without its manifest suffix."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem
