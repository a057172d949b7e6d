"""The scenarios of Physics-IQ as the samples of a case: one generated clip and five recorded files each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id
from pytest_vidmetrics.core.wording import some
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.files import check_clips, fill_in
from pytest_vidmetrics.media.formats import list_clips

if TYPE_CHECKING:
    from pytest_vidmetrics.datasets.physics_iq import PhysicsIQPromptDataset, PhysicsIQScenario


def scenario_corpus(case: Case, folder: Path, checkpoint: str | None) -> Corpus:
    """Map the clips of a folder, named as the benchmark's list says, to their scenarios.

    ``fps`` of the case, when the benchmark has recordings of that rate, picks these; metrics blend those of 30
    frames per second to any other. ``dataset_root`` is the copy of the release.

    Raises :class:`~pytest_vidmetrics.core.errors.ManifestError` that counts and names missing and surplus clips, and
    recorded files that are not there: nothing is downloaded while tests are collected.
    """
    data = _dataset(case, checkpoint)
    expected = {scenario.expected_gen_filename: scenario for scenario in data.scenarios}
    listing = list_clips(folder)
    present = {path.name for path in listing.clips if not path.is_dir()}
    missing, surplus = sorted(expected.keys() - present), sorted(present - expected.keys())
    check_clips(case, folder, missing, surplus, "scenario")
    absent = [
        relative
        for scenario in data.scenarios
        for relative in scenario.assets.values()
        if not (data.root / relative).is_file()
    ]
    if absent:
        raise case.at("dataset").error(
            f"{len(absent)} files of Physics-IQ are not in {data.root}: {some(absent, 3)}; "
            f"get them with: {_fetch(data)}"
        )
    samples = [_sample(case, data, scenario, folder / name) for name, scenario in sorted(expected.items())]
    references = [Sample(sample.id, {"video": sample.values["reference"]}, "reference") for sample in samples]
    return Corpus(
        tuple(samples), tuple(references), tuple(f"{path} is left out: {why}" for path, why in listing.left_out)
    )


def _dataset(case: Case, checkpoint: str | None) -> PhysicsIQPromptDataset:
    from pytest_vidmetrics.datasets.physics_iq import RATES, PhysicsIQPromptDataset

    root = None
    if case.dataset_root is not None:
        where = case.at("dataset_root")
        root = case.where.path.parent / fill_in(case.dataset_root, where, checkpoint or case.checkpoint)
        if not root.is_dir():
            raise where.error(f"dataset_root = {case.dataset_root!r}: {root} is not a folder")
    # Recordings exist for some rates only; any other rate is blended from the highest.
    rate = case.broadcast.get("fps", RATES[-1])
    try:
        return PhysicsIQPromptDataset(root, fps=int(rate) if rate in RATES else RATES[-1])
    except (UnavailableError, ValueError, OSError) as error:
        raise case.at("dataset").error(f"the scenarios of physics_iq cannot be read: {error}") from error


def _fetch(data: PhysicsIQPromptDataset) -> str:
    """Return the command that fetches what is missing."""
    options = f"dataset_root={str(data.root)!r}, fps={data.fps}"
    return (
        'python -c "from pytest_vidmetrics.datasets.base import get_dataset as get; '
        f"get('physics_iq', {options}).fetch()\""
    )


def _sample(case: Case, data: PhysicsIQPromptDataset, scenario: PhysicsIQScenario, clip: Path) -> Sample:
    files = {key: str(data.root / relative) for key, relative in scenario.assets.items()}
    values: Mapping[str, Any] = {
        **case.broadcast,
        **files,
        "video": str(clip),
        "text_prompt": scenario.caption,
        "scenario": scenario.scenario_name,
        "view": scenario.view,
    }
    return Sample(clean_id(clip.stem), values)
