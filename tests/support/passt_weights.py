"""Stand-in weights of PaSST in the published layout: two blocks, or all twelve."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch

from tests.support.oracle_fill import fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "audio"


def passt_state(name: str = "passt_shallow") -> dict[str, torch.Tensor]:
    keys = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    return fill_state_dict({key: tuple(shape) for key, (shape, _) in keys.items()})


def passt_file(folder: Path, name: str = "passt_shallow") -> str:
    path = folder / f"{name}.pt"
    torch.save(passt_state(name), path)
    return str(path)
