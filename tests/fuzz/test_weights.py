"""Damaged files of weights: whatever happened to the bytes, tensors or one error, soon, and nothing runs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.networks.state_files import WeightsFileError, first_tensor, read_state, read_value
from tests.support.hostile_pickles import FORMS, PROTOCOL
from tests.support.torch_containers import CONTAINERS, save_torchscript

pytestmark = pytest.mark.slow
ROUNDS = 1500
LIMIT_S = 5.0
"""For one file: a reader that follows a number in the file for ever would pass it."""


def _write(container: str, path: Path) -> None:
    state = {
        "a.weight": torch.arange(12.0).reshape(3, 4),
        "a.running_mean": torch.zeros(3),
        "b.weight": torch.ones(2, 2).half(),
    }
    if container == "torchscript":
        save_torchscript(state, path)
    elif container == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        CONTAINERS[container]({"epoch": 1, "state_dict": state, "args": Path("x")}, path)


def _flipped(data: bytearray, draw: random.Random) -> bytearray:
    for _ in range(draw.choice((1, 1, 2, 8))):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return data


def _cut(data: bytearray, draw: random.Random) -> bytearray:
    return data[: draw.randrange(len(data))]


def _spliced(data: bytearray, draw: random.Random) -> bytearray:
    start, stop, at = (draw.randrange(len(data)) for _ in range(3))
    return data[:at] + data[min(start, stop) : max(start, stop)] + data[at:]


def _removed(data: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.randrange(1, 64) :]


def _numbered(data: bytearray, draw: random.Random) -> bytearray:
    at = draw.randrange(max(1, len(data) - 8))
    data[at : at + 8] = draw.choice((0, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**64 - 1)).to_bytes(8, "little")
    return data


def _poisoned(data: bytearray, draw: random.Random) -> bytearray:
    """Put a call into the middle of whatever is there."""
    form = draw.choice(sorted(FORMS))
    at = draw.randrange(len(data))
    return data[:at] + PROTOCOL + FORMS[form]("builtins", "open", ("canary", "w")) + data[at:]


DAMAGE: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    _flipped,
    _cut,
    _spliced,
    _removed,
    _numbered,
    _poisoned,
)


@pytest.mark.parametrize("container", ["zip", "legacy", "tar", "torchscript", "safetensors"])
def test_damaged_files_give_tensors_or_one_error(
    container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _write(container, tmp_path / "good")
    whole = (tmp_path / "good").read_bytes()
    draw = random.Random(f"weights {container}")
    path = tmp_path / "weights.pt"
    messages: list[str] = []
    for _ in range(ROUNDS):
        damage = draw.choice(DAMAGE)
        path.write_bytes(damage(bytearray(whole), draw))
        started = time.monotonic()
        for read in (read_state, lambda path: read_state(path, "state_dict"), read_value, first_tensor):
            try:
                read(path)
            except WeightsFileError as error:
                messages.append(str(error))
        assert time.monotonic() - started < LIMIT_S, damage.__name__
        assert not (tmp_path / "canary").exists(), damage.__name__
    assert len(messages) > ROUNDS / 4
    assert all(0 < len(message) < 1000 for message in messages)
