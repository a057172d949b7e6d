"""Published prompt lists as samples: which generated file belongs to which prompt, and which metrics score it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.order import in_order
from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id, folded, whole_name
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.files import check_clips, fill_in
from pytest_vidmetrics.gates.own_dataset import own_corpus
from pytest_vidmetrics.gates.scenarios import scenario_corpus
from pytest_vidmetrics.media.formats import list_clips
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.composite import is_composite, with_parts
from pytest_vidmetrics.metrics.vbench.base import dimension_of

_FAMILY = "vbench."


@dataclass
class _Prompt:
    """One prompt of the list; entries with the same prompt share their clips."""

    text: str
    stem: str
    count: int = 0
    dimensions: set[str] = field(default_factory=set)
    info: dict[str, Any] = field(default_factory=dict)


def dataset_corpus(case: Case, checkpoint: str | None = None) -> Corpus:
    """Map the entries of a published list to the files of the case's folder.

    For ``"physics_iq"`` see :func:`.scenarios.scenario_corpus`, for datasets of users
    :func:`.own_dataset.own_corpus`. For ``"vbench"`` a file is named
    ``<prompt>-<number>`` with numbers from 0: 25 of them for a prompt of temporal flickering, else 5. Only prompts
    of the dimensions that the case lists are expected. Each clip goes to the metrics of its prompt's dimensions and
    to every metric outside of VBench.

    Raises :class:`~pytest_vidmetrics.core.errors.ManifestError` that counts and names missing and surplus files,
    and when the list of prompts cannot be had.
    """
    where = case.at("dataset")
    patterns = case.media.get("video", ())
    folder = (
        case.where.path.parent / fill_in(patterns[0], case.at("video"), checkpoint or case.checkpoint)
        if patterns
        else None
    )
    if folder is None or len(patterns) != 1 or not folder.is_dir():
        raise where.error(
            f"dataset = {case.dataset!r} needs video to be the one folder of the clips, got {folder or patterns}"
        )
    if case.dataset == "physics_iq":
        return scenario_corpus(case, folder, checkpoint)
    if case.dataset != "vbench":
        return own_corpus(case, folder)
    return _prompt_corpus(case, folder)


def _prompt_corpus(case: Case, folder: Path) -> Corpus:
    # A metric made of others brings the clips of its parts.
    entries = case.metrics if case.metrics is not None else ["vbench"]
    listed = with_parts(registry.expand(case.configs.get(entry, (entry,))[0] for entry in entries))
    prompts = _prompts(case, {dimension_of(n) for n in listed if n.startswith(_FAMILY) and not is_composite(n)})
    listing = list_clips(folder)
    clips, surplus = _assign((path for path in listing.clips if not path.is_dir()), prompts)
    missing = [
        f"{prompt.stem}-{number}"
        for prompt in prompts
        for number in range(prompt.count)
        if (prompt.stem, number) not in clips
    ]
    check_clips(case, folder, missing, surplus, "prompt")
    ids = _ids(prompts)
    samples = [
        _sample(case, prompt, f"{ids[prompt.text]}-{number}", clips[prompt.stem, number], listed)
        for prompt in prompts
        for number in range(prompt.count)
    ]
    left_out = tuple(f"{path} is left out: {why}" for path, why in listing.left_out)
    return Corpus(tuple(in_order(samples, lambda sample: sample.id)), remarks=left_out)


def _prompts(case: Case, dimensions: set[str]) -> list[_Prompt]:
    from pytest_vidmetrics.datasets.base import get_dataset

    try:
        dataset = get_dataset(str(case.dataset), dimensions=sorted(dimensions))
    except (UnavailableError, ValueError, OSError) as error:
        raise case.at("dataset").error(f"the prompts of {case.dataset} cannot be read: {error}") from error
    prompts: dict[str, _Prompt] = {}
    for row in dataset:
        text = str(row["text_prompt"])
        prompt = prompts.setdefault(text, _Prompt(text, dataset.filename(row, 0, "").removesuffix("-0")))
        # The largest count: one prompt may be listed for several dimensions, and its clips serve all.
        prompt.count = max(prompt.count, int(row["n_samples"]))
        prompt.dimensions.update(row["dimensions"])
        prompt.info.update(row["auxiliary_info"])
    return list(prompts.values())


def _assign(paths: Iterable[Path], prompts: list[_Prompt]) -> tuple[dict[tuple[str, int], Path], list[str]]:
    """Return ``{(stem, number): file}`` and the names of files that are no prompt's.

    Upstream's own names, the whole prompt, count first: a prompt with signs may have the stem of one without.
    """
    stems = {whole_name(prompt.stem): prompt for prompt in prompts}
    stems |= {whole_name(prompt.text): prompt for prompt in prompts}
    clips: dict[tuple[str, int], Path] = {}
    surplus: list[str] = []
    for path in paths:
        # From the right: prompts hold "-" themselves.
        head, _, number = whole_name(path.stem).rpartition("-")
        prompt = stems.get(head)
        key = (prompt.stem, int(number)) if prompt is not None and number.isdecimal() else None
        if prompt is None or key is None or key in clips or key[1] >= prompt.count:
            surplus.append(path.name)
        else:
            clips[key] = path
    return clips, surplus


def _ids(prompts: list[_Prompt]) -> dict[str, str]:
    """Return the id of each prompt by its text; those that differ in signs or case only hold a digest too."""
    plain = {prompt.text: clean_id(prompt.stem) for prompt in prompts}
    # Ids of two prompts may be the same once signs and case are gone.
    taken = Counter(map(folded, plain.values()))
    return {text: id if taken[folded(id)] == 1 else f"{id}-{digest_json([text])[:6]}" for text, id in plain.items()}


def _sample(case: Case, prompt: _Prompt, id: str, path: Path, listed: list[str]) -> Sample:
    values: Mapping[str, Any] = {
        **case.broadcast,
        "video": str(path),
        "text_prompt": prompt.text,
        "auxiliary_info": dict(prompt.info),
    }
    named = {config[0] for config in case.configs.values()}
    only = {
        # A metric outside of VBench scores every clip.
        name
        for name in {*listed, *named}
        if not name.startswith(_FAMILY) or dimension_of(name) in prompt.dimensions
    }
    return Sample(id, values, only=frozenset(only))
