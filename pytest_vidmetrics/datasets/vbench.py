"""The prompts of VBench (Huang et al., CVPR 2024): 946 entries in 16 dimensions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.text import parse_json, read_text
from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.datasets.base import PromptDataset, register_dataset

FULL_INFO = Weights(
    name="VBench_full_info.json",
    source=(
        "https://raw.githubusercontent.com/Vchitect/VBench/45e79ec14e69a2187202c675d2dbce1a71843d53"
        "/vbench/VBench_full_info.json"
    ),
    sha256="5dd2de80ee43cda750b2b72ea7023657c0b90d3702041c7e4608c65dbe50dccd",
    size=228118,
    licence="Apache-2.0",
    override="VBENCH_FULL_INFO_JSON",
)
_FLICKER_SAMPLES, _SAMPLES = 25, 5


@register_dataset("vbench")
class VBenchPromptDataset(PromptDataset):
    """VBench's prompts, restricted to ``dimensions`` (a name, several, or ``"all"``).

    The list is read from ``full_info_path``, else from ``$VBENCH_FULL_INFO_JSON``, else it is fetched once. A row
    has ``prompt`` and ``text_prompt``, ``n_samples`` (25 clips for temporal flickering, else 5), the requested of
    its ``dimensions``, and ``auxiliary_info`` with one level of nesting removed, which is what the metrics read.

    Raises ``ValueError`` for an unknown dimension or a file of another kind, ``FileNotFoundError`` for a path that
    does not exist, and :class:`~pytest_vidmetrics.core.errors.UnavailableError` when the list cannot be fetched.
    """

    description = "VBench: 946 prompts in 16 dimensions of video quality and prompt adherence"
    supports_dimensions = True

    def __init__(
        self, dimensions: Iterable[str] | str = "all", full_info_path: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__()
        entries = _read(Path(full_info_path) if full_info_path is not None else resolve(FULL_INFO))
        known = sorted({dimension for entry in entries for dimension in entry["dimension"]})
        wanted = set(known if dimensions == "all" else [dimensions] if isinstance(dimensions, str) else dimensions)
        if unknown := sorted(wanted - set(known)):
            raise ValueError(f"Unknown VBench dimensions: {unknown}. Available: {known}")
        self._every_prompt = [str(entry["prompt_en"]) for entry in entries]
        rows = (_row(entry, wanted) for entry in entries)
        self._rows = [row for row in rows if row["dimensions"]]

    def _prompts(self) -> Iterable[str]:
        return self._every_prompt


def _read(path: Path) -> list[dict[str, Any]]:
    entries = parse_json(read_text(path), path)
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and "prompt_en" in entry and "dimension" in entry for entry in entries
    ):
        raise ValueError(f"{path}: expected a list of entries with 'prompt_en' and 'dimension'")
    return entries


def _row(entry: Mapping[str, Any], wanted: set[str]) -> dict[str, Any]:
    dimensions = [dimension for dimension in entry["dimension"] if dimension in wanted]
    info: dict[str, Any] = {}
    for value in (entry.get("auxiliary_info") or {}).values():
        if isinstance(value, dict):
            info.update(value)
    return {
        "prompt": entry["prompt_en"],
        "text_prompt": entry["prompt_en"],
        "n_samples": _FLICKER_SAMPLES if "temporal_flickering" in dimensions else _SAMPLES,
        "dimensions": dimensions,
        "auxiliary_info": info,
    }
