"""The scenarios of Physics-IQ (Motamed et al., 2025): 66 scenes, 3 views, two takes of each."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.download import Download, DownloadError
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.places import is_offline
from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.datasets.base import PromptDataset, register_dataset

MANIFEST = Weights(
    name="physics_iq_descriptions.csv",
    source=(
        "https://raw.githubusercontent.com/google-deepmind/physics-IQ-benchmark"
        "/e457754f7d5b7cc3820362c89e3cb0757da3e990/descriptions/descriptions.csv"
    ),
    sha256="d66e9b2c726c2d954362c560436dbb688239eca1e329dc578ff57ea0ae83d22c",
    size=122391,
    licence="CC-BY-4.0",
    override="VIDMETRICS_PHYSICS_IQ_CSV",
)
_BUCKET = "https://storage.googleapis.com/physics-iq-benchmark"
_BUCKET_VARIABLES = ("VIDMETRICS_PHYSICS_IQ_BUCKET_URL", "FASTVIDEO_PHYSICS_IQ_BUCKET_URL")
RATES = (8, 16, 24, 30)
"""Frames per second of the recordings; the last is what was filmed."""
_COLUMNS = {"scenario", "description", "category", "generated_video_name"}
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class PhysicsIQScenario:
    """One take-1 recording and its take-2 twin. Paths are relative to the root of the release."""

    scenario_id: str
    view: str
    scenario_name: str
    category: str
    caption: str
    expected_gen_filename: str
    assets: Mapping[str, str]
    """Sample key (or ``switch_frame_path``) to the file that it needs."""


class AssetStore:
    """The files of the release below ``root``; what is missing is fetched when it is asked for."""

    def __init__(self, root: Path, auto_download: bool, timeout: float = _TIMEOUT_SECONDS) -> None:
        # A copy of the release may lie in a folder of its own name.
        nested = root / "physics-IQ-benchmark"
        self.root = nested if nested.is_dir() else root
        self._auto_download, self._timeout = auto_download, timeout

    def path(self, relative: str) -> str:
        """Return the local path of a file.

        Raises ``FileNotFoundError`` when it is missing and fetching is off or fails. The bucket's own checksum is
        compared.
        """
        target = self.root / relative
        if target.exists():
            return str(target)
        if not self._auto_download or is_offline():
            raise FileNotFoundError(f"{target} is missing and fetching is switched off")
        try:
            return str(Download(f"{_bucket()}/{quote(relative)}", timeout=self._timeout).to(target))
        except DownloadError as error:
            raise FileNotFoundError(f"{target} is missing and cannot be fetched: {error}") from error


class PhysicsIQRow(Mapping[str, Any]):
    """A row whose files are fetched when their keys are read; reading ``prompt`` fetches nothing."""

    def __init__(self, values: Mapping[str, Any], files: Mapping[str, str], store: AssetStore) -> None:
        self._values, self._files, self._store = values, files, store

    def __getitem__(self, key: str) -> Any:
        """Return a value; the path of a file after fetching it."""
        if key in self._files:
            return self._store.path(self._files[key])
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        """Whether the row has a key, without fetching."""
        return key in self._files or key in self._values

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys."""
        yield from self._values
        yield from self._files

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._values) + len(self._files)


@register_dataset("physics_iq")
class PhysicsIQPromptDataset(PromptDataset):
    """The 198 take-1 scenarios of Physics-IQ, each with its take-2 recording and both motion masks.

    ``dataset_root`` is a copy of the release (default: below the cache). ``fps`` picks the recordings and the
    masks of that rate, 8, 16, 24 or 30. ``limit`` keeps the first scenarios. ``generated_dir`` adds ``video``, the
    expected clip in that folder. Files are fetched one by one when a row's key is read, unless
    ``auto_download=False``; ``$VIDMETRICS_PHYSICS_IQ_BUCKET_URL`` names another server.

    The list itself is ``descriptions.csv`` below the root, else ``$VIDMETRICS_PHYSICS_IQ_CSV``, else fetched once.
    Raises ``ValueError`` for another rate or a list of another kind, and
    :class:`~pytest_vidmetrics.core.errors.UnavailableError` when the list cannot be had.
    """

    description = "Physics-IQ: 66 filmed physical events from 3 views, two takes each"
    requires_reference_image = True
    requires_reference_video = True

    def __init__(
        self,
        dataset_root: str | os.PathLike[str] | None = None,
        *,
        fps: int = 30,
        limit: int | None = None,
        generated_dir: str | os.PathLike[str] | None = None,
        auto_download: bool = True,
    ) -> None:
        super().__init__()
        if fps not in RATES:
            raise ValueError(f"fps={fps}: Physics-IQ is recorded at {', '.join(map(str, RATES))} frames per second")
        root = Path(dataset_root) if dataset_root is not None else get_cache_dir() / "datasets" / "physics_iq"
        store = AssetStore(root, auto_download)
        self.root, self.fps, self._store = store.root, fps, store
        self.scenarios = _scenarios(_manifest(store.root, auto_download), fps)[:limit]
        generated = Path(generated_dir) if generated_dir is not None else None
        self._rows = [_row(scenario, fps, generated, store) for scenario in self.scenarios]

    def fetch(self) -> int:
        """Fetch every file that is missing and return how many files there are; raises ``FileNotFoundError``."""
        files = [relative for scenario in self.scenarios for relative in scenario.assets.values()]
        for relative in files:
            self._store.path(relative)
        return len(files)


def _bucket() -> str:
    given = next((value for name in _BUCKET_VARIABLES if (value := os.environ.get(name))), _BUCKET)
    return given.rstrip("/")


def _manifest(root: Path, auto_download: bool) -> Path:
    for place in (root / "descriptions.csv", root / "descriptions" / "descriptions.csv"):
        if place.is_file():
            return place
    if not auto_download and MANIFEST.overridden() is None:
        raise UnavailableError(
            f"descriptions.csv is not in {root} and auto_download is off; set ${MANIFEST.override} to a copy"
        )
    return resolve(MANIFEST)


def _scenarios(path: Path, fps: int) -> list[PhysicsIQScenario]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not set(rows[0]) >= _COLUMNS:
        raise ValueError(f"{path}: expected the columns {', '.join(sorted(_COLUMNS))}")
    split = [_split(row["scenario"]) for row in rows]
    # Both takes have the view and the name in common, and numbers of their own.
    second = {(view, name): number for number, view, take, name in split if take == "take-2"}
    found = []
    for row, (number, view, take, name) in zip(rows, split, strict=True):
        if take == "take-1":
            if (view, name) not in second:
                raise ValueError(f"{path}: {row['scenario']} has no second take")
            assets = _assets(number, second[view, name], view, name, fps)
            found.append(
                PhysicsIQScenario(
                    number, view, name, row["category"], row["description"], row["generated_video_name"], assets
                )
            )
    return found


def _split(scenario: str) -> tuple[str, str, str, str]:
    """Split ``<id>_<view>_take-N_<name>.mp4``; only the last part may contain underscores."""
    parts = scenario.removesuffix(".mp4").split("_", 3)
    if len(parts) != 4:
        raise ValueError(f"{scenario!r}: expected <id>_<view>_take-N_<name>.mp4")
    return parts[0], parts[1], parts[2], parts[3]


def _assets(first: str, second: str, view: str, name: str, fps: int) -> dict[str, str]:
    rate = f"{fps}FPS"

    def video(number: str, take: int) -> str:
        return f"split-videos/testing/{rate}/{number}_testing-videos_{rate}_{view}_take-{take}_{name}.mp4"

    def mask(number: str, take: int) -> str:
        return f"video-masks/real/{rate}/{number}_video-masks_{rate}_{view}_take-{take}_{name}.mp4"

    return {
        "reference": video(first, 1),
        "reference_take2": video(second, 2),
        "reference_mask": mask(first, 1),
        "reference_take2_mask": mask(second, 2),
        "image_path": f"switch-frames/{first}_switch-frames_anyFPS_{view}_{name}.jpg",
    }


def _row(scenario: PhysicsIQScenario, fps: int, generated: Path | None, store: AssetStore) -> PhysicsIQRow:
    info = {
        "scenario_id": scenario.scenario_id,
        "scenario_name": scenario.scenario_name,
        "category": scenario.category,
        "expected_gen_filename": scenario.expected_gen_filename,
        "reference_fps": fps,
    }
    values: dict[str, Any] = {
        "prompt": scenario.caption,
        "text_prompt": scenario.caption,
        "scenario": scenario.scenario_name,
        "view": scenario.view,
        "n_samples": 1,
        "auxiliary_info": info,
    }
    if generated is not None:
        values["video"] = str(generated / scenario.expected_gen_filename)
        info["generated_video_path"] = values["video"]
    return PhysicsIQRow(values, scenario.assets, store)
