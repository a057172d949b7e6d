"""Damaged manifests: whatever happened to the text, cases or one error that names the file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.gates.selection import gates_of

pytestmark = pytest.mark.slow
ROUNDS = 1000
TREE = {
    "schema": 1,
    "case": {
        "demo": {
            "video": "clips/{checkpoint}/*.mp4",
            "checkpoint": "candidate",
            "reference": ["clips/reference/*.mp4"],
            "metrics": ["common.psnr", "vbench"],
            "metric": {"luma": {"use": "common.ssim", "channels": "luma"}},
            "gate": {"default": {"abs": 0.001, "rel": 0.1, "decide": "strict"}},
        }
    },
}
TOML = """schema = 1
[case.demo]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "candidate"
reference = ["clips/reference/*.mp4"]
metrics = ["common.psnr", "vbench"]
[case.demo.metric.luma]
use = "common.ssim"
channels = "luma"
[case.demo.gate.default]
abs = 0.001
rel = 0.1
decide = "strict"
"""
TEXTS = {"toml": TOML, "yaml": yaml.safe_dump(TREE), "json": json.dumps(TREE, indent=1)}
ODD = [
    *("nan", "-inf", "1e999", "9" * 5000, "2024-13-45", "!!int abc", "&a [*a]", "[" * 2000, "\x00", "\x1b[31m"),
    *(
        "{env:",
        "}}",
        "{{",
        "..",
        "/dev/zero",
        '"',
        "'",
        "\n",
        ": ",
        "\udc80",
        "\u2028",
        "null",
        "true",
        "[]",
        "{}",
        "-1",
    ),
]


def _flipped(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    return text[:at] + chr(draw.choice((draw.randrange(128), draw.randrange(0x2FFF)))) + text[at + 1 :]


def _cut(text: str, draw: random.Random) -> str:
    start = draw.randrange(len(text))
    return text[:start] + text[start + draw.randrange(1, 40) :]


def _odd(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    return text[:at] + draw.choice(ODD) + text[at + draw.randrange(12) :]


def _doubled(text: str, draw: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    line = draw.choice(lines)
    lines.insert(draw.randrange(len(lines)), line)
    return "".join(lines)


CHANGES: list[Callable[[str, random.Random], str]] = [_flipped, _cut, _odd, _odd, _doubled]


@pytest.mark.parametrize("syntax", TEXTS)
def test_a_damaged_manifest_is_read_or_refused(syntax: str, tmp_path: Path) -> None:
    draw = random.Random(f"manifest {syntax}")
    path = tmp_path / f"m.vidmetrics.{syntax}"
    refused: list[str] = []
    for _ in range(ROUNDS):
        text = TEXTS[syntax]
        for _ in range(draw.choice((1, 1, 2, 3))):
            text = draw.choice(CHANGES)(text, draw) or " "
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            for case in load_manifest(path).cases:
                gates_of(case, ["all"])
                resolve_samples(case, "candidate")
        except VidmetricsError as error:
            refused.append(str(error))
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error} for {text!r:.600}")
    assert len(refused) > ROUNDS // 2
    assert [message for message in refused if not message.startswith(str(tmp_path))] == []
