"""Damaged sample lists: whatever they hold, samples or one error with file and line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.samples import Sample
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from tests.fuzz.test_media import changed

VALUES: tuple[Any, ...] = (
    *("", "a", "猫", "a\u2028b", "\ud800", "../x", "a\x00b", "1e400", " "),
    *(0, -24, 24, 1e308, float("nan"), float("inf"), 10**400, True, False, None),
    *([], ["a", 1], {}, {"b": {"c": [None]}}, {"": ""}),
)
KEYS = ("id", "fps", "text_prompt", "reference", "auxiliary_info", "metrics", "role", "unknown", "", "actions")
MANIFEST = "schema = 1\n[case.a]\nsamples = '{}'\nmetrics = ['common.psnr']\n"


def rows(draw: random.Random) -> list[dict[str, Any]]:
    """Return three rows of clips, of which any may hold anything."""
    found = [{"id": f"clip {i}", "video": f"{i}.mp4", "text_prompt": "a cat", "fps": 24} for i in range(3)]
    for _ in range(draw.randrange(3)):
        found[draw.randrange(3)][draw.choice(KEYS)] = draw.choice(VALUES)
    return found


def text(name: str, draw: random.Random) -> bytes:
    found = rows(draw)
    if name.endswith(".csv"):
        lines = [
            "id,video,text_prompt,fps",
            *(",".join(str(row.get(k)) for k in ("id", "video", "text_prompt", "fps")) for row in found),
        ]
        whole = "\n".join(lines)
    else:
        whole = json.dumps(found) if name.endswith(".json") else "\n".join(map(json.dumps, found))
    data = whole.encode("utf-8", "surrogatepass")
    return changed(data, draw) if draw.random() < 0.5 else data


def check(folder: Path, rounds: int) -> None:
    for i in range(3):
        (folder / f"{i}.mp4").touch()
    manifest = folder / "m.vidmetrics.toml"
    read, said = 0, list[tuple[str, str]]()
    for number in range(rounds):
        draw = random.Random(number)
        name = draw.choice(("rows.jsonl", "rows.json", "rows.csv"))
        (folder / name).write_bytes(text(name, draw))
        manifest.write_text(MANIFEST.format(name))
        try:
            found = resolve_samples(load_manifest(manifest).cases[0])
        except ManifestError as error:
            said.append((name, str(error)))
        else:
            read += 1
            assert all(isinstance(one, Sample) and one.id for one in found.samples), number
            assert len({one.id.casefold() for one in found.samples}) == len(found.samples), number
    assert read
    assert said
    assert all(name in message or "m.vidmetrics.toml:" in message for name, message in said)


def test_a_damaged_list_is_read_or_named(tmp_path: Path) -> None:
    check(tmp_path, 200)


@pytest.mark.slow
def test_a_thousand_damaged_lists_are_read_or_named(tmp_path: Path) -> None:
    check(tmp_path, 1000)
