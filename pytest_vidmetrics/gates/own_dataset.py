"""Datasets that a user registered as samples: each row has its clips in one folder, told by the dataset itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.order import in_order
from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id, folded
from pytest_vidmetrics.core.types import PATH_KEYS
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.files import check_clips
from pytest_vidmetrics.gates.manifest import sample_keys
from pytest_vidmetrics.gates.values import fault
from pytest_vidmetrics.media.formats import list_clips


def own_corpus(case: Case, folder: Path) -> Corpus:
    """Map the rows of a registered dataset to the clips of a folder, by ``dataset.videos(row, folder)``.

    A row's ``n_samples`` (default 1) clips are expected; missing clips and files that belong to no row are errors.
    The id of a sample is the name of its clip. Sample keys of the row (``text_prompt``, ``fps``, …) are its values.
    Raises :class:`~pytest_vidmetrics.core.errors.ManifestError`, also for whatever the dataset's own code raises.
    """
    where = case.at("dataset")
    try:
        found, missing = _clips(case, folder)
    # A user's code may call sys.exit, which must not end pytest.
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
        raise where.error(f"the dataset {case.dataset!r} cannot be mapped to {folder}: {said}") from error
    taken = {path for path, _ in found}
    surplus = [path.name for path in list_clips(folder).clips if path not in taken]
    check_clips(case, folder, missing, surplus, "row")
    known, samples = sample_keys(), []
    seen: dict[str, Path] = {}
    for path, row in found:
        id = clean_id(path.stem)
        if (other := seen.setdefault(folded(id), path)) != path:
            raise where.error(f"{other} and {path} have the same id ({id!r}); rename one of them")
        # Paths of the dataset are its own: the clip is the one found in the folder.
        values = {key: value for key, value in row.items() if key in known and key not in PATH_KEYS}
        for key, value in values.items():
            if problem := fault(key, value):
                raise where.error(f"the dataset {case.dataset!r}, the row of {path.name}: {problem}")
        samples.append(Sample(id, {**case.broadcast, **values, "video": str(path)}))
    return Corpus(tuple(in_order(samples, lambda sample: sample.id)))


def _clips(case: Case, folder: Path) -> tuple[list[tuple[Path, Mapping[str, Any]]], list[str]]:
    """Return each clip with its row, and the names of clips that are missing."""
    from pytest_vidmetrics.datasets.base import get_dataset

    dataset = get_dataset(str(case.dataset))
    found: list[tuple[Path, Mapping[str, Any]]] = []
    missing: list[str] = []
    for row in dataset:
        if not isinstance(row, Mapping):
            raise TypeError(f"a row is {shown(row)}, not a mapping")
        clips = dataset.videos(row, folder)
        wanted = row.get("n_samples", 1)
        if type(wanted) is not int or wanted < 1:
            raise ValueError(f"n_samples must be a whole number of at least 1, got {shown(wanted)}")
        # Without a suffix: the dataset says what the files are called, not what they are.
        missing += [dataset.filename(row, number, "") for number in range(len(clips), wanted)]
        found += [(path, row) for path in clips[:wanted]]
    if not found and not missing:
        raise ValueError("it has no rows")
    return found, missing
