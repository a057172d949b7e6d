"""Prompt lists of published benchmarks: rows to generate from and to score with."""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypedDict, TypeVar, overload

from pytest_vidmetrics.core.entry_points import load_all
from pytest_vidmetrics.core.errors import closest
from pytest_vidmetrics.core.samples import cut_bytes, folded
from pytest_vidmetrics.datasets.naming import (
    MAX_BYTES,
    glob_videos,
    is_whole,
    prompt_of,
    sanitize_prompt,
    trailing_number,
)

ENTRY_POINT_GROUP = "pytest_vidmetrics.datasets"
_MAX_NAME = 100
_HASH = 8
_registry: dict[str, type[PromptDataset]] = {}

D = TypeVar("D", bound="type[PromptDataset]")


class Sample(TypedDict, total=False):
    """The keys that rows of the datasets here have; other datasets may add any."""

    prompt: str
    text_prompt: str
    n_samples: int
    dimensions: list[str]
    auxiliary_info: dict[str, Any]
    image_path: str
    reference_video: str


class PromptDataset(Sequence[Mapping[str, Any]]):
    """Rows of a benchmark. A subclass fills ``self._rows`` in its constructor.

    A row goes to :meth:`Evaluator.evaluate` as it is: ``evaluate(video=clip, **row)``. It carries its prompt
    under ``prompt``, for generators, and under ``text_prompt``, for metrics.
    """

    name: ClassVar[str] = ""
    description: ClassVar[str] = ""
    supports_dimensions: ClassVar[bool] = False
    requires_reference_image: ClassVar[bool] = False
    requires_reference_video: ClassVar[bool] = False

    def __init__(self) -> None:
        self._rows: list[Mapping[str, Any]] = []
        self._shared_names: frozenset[str] | None = None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Iterate over the rows."""
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        """Return one row, or a list of rows for a slice."""
        return self._rows[index]

    def by_dimension(self) -> dict[str, list[Mapping[str, Any]]]:
        """Return the rows of each dimension; a row with several is listed under each."""
        grouped: dict[str, list[Mapping[str, Any]]] = {}
        for row in self:
            for dimension in row.get("dimensions", ()):
                grouped.setdefault(dimension, []).append(row)
        return grouped

    def filename(self, row: Mapping[str, Any], idx: int, ext: str = ".mp4") -> str:
        """Return the file name of the clip number ``idx`` of a row.

        The name of :func:`default_filename`, unless other prompts of this dataset have that too, or it lost a part
        of the prompt's end: then the prompt's hash is part of it. Rows with the same prompt share their clips.
        """
        return f"{self._stem(row)}-{idx}{ext}"

    def videos(self, row: Mapping[str, Any], directory: str | os.PathLike[str], ext: str = ".mp4") -> list[Path]:
        """Return the clips of a row in a folder, by number.

        Those named by :meth:`filename`; without any, those whose name is the whole prompt, as upstream tools
        write; without any, those of :func:`default_filename` when no other prompt of this dataset shares them.
        """
        folder = Path(directory)
        # The whole prompt as a name is what upstream's tools write.
        for stem in (self._stem(row), prompt_of(row)):
            found = [path for path in folder.iterdir() if _numbered(path, stem, ext)]
            if found:
                return sorted(found, key=trailing_number)
        return [] if folded(sanitize_prompt(prompt_of(row))) in self._collisions() else glob_videos(folder, row, ext)

    def _stem(self, row: Mapping[str, Any]) -> str:
        prompt = prompt_of(row)
        name = sanitize_prompt(prompt, _MAX_NAME)
        if is_whole(prompt, _MAX_NAME) and folded(name) not in self._collisions():
            return name
        digest = hashlib.sha256(prompt.encode()).hexdigest()[:_HASH]
        # Room for "~" and the hash, also in bytes: file systems count these.
        return f"{cut_bytes(sanitize_prompt(prompt, _MAX_NAME - _HASH - 1), MAX_BYTES - _HASH - 1)}~{digest}"

    def _prompts(self) -> Iterable[str]:
        """Return the prompts among which a file name must be told apart: also those that were not asked for."""
        return (prompt_of(row) for row in self)

    def _collisions(self) -> frozenset[str]:
        """Return the sanitised names that stand for more than one prompt, also where capitals are small letters."""
        if self._shared_names is None:
            prompts: dict[str, set[str]] = {}
            for prompt in self._prompts():
                # Also prompts that were not asked for: a folder may hold the clips of the whole list.
                prompts.setdefault(folded(sanitize_prompt(prompt, _MAX_NAME)), set()).add(prompt)
            self._shared_names = frozenset(name for name, several in prompts.items() if len(several) > 1)
        return self._shared_names


def _numbered(path: Path, stem: str, ext: str) -> bool:
    head, _, number = path.stem.rpartition("-")
    return path.suffix == ext and head == stem and number.isdecimal()


def register_dataset(name: str) -> Callable[[D], D]:
    """Class decorator that makes a dataset known as ``name``. Raises ``ValueError`` when the name is taken."""

    def add(cls: D) -> D:
        known = _registry.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"dataset {name!r} is already registered by {known.__module__}.{known.__qualname__}")
        cls.name = name
        _registry[name] = cls
        return cls

    return add


def _discover() -> None:
    """Import every module of this package and of installed third parties: those of the datasets register them."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{package}.{module.name}")
    load_all(ENTRY_POINT_GROUP, "datasets")


def list_datasets() -> list[str]:
    """Return the names of all datasets, sorted."""
    _discover()
    return sorted(_registry)


def get_dataset(name: str, **kwargs: Any) -> PromptDataset:
    """Return a new dataset; ``kwargs`` go to its constructor. Raises ``KeyError`` for an unknown name."""
    _discover()
    if name not in _registry:
        raise KeyError(f"unknown dataset {name!r}{closest(name, _registry)} (known: {', '.join(sorted(_registry))})")
    return _registry[name](**kwargs)
