from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_vidmetrics.core.processors import available, wait_passively


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "9000000 100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({"cpu.max": "damaged"}, 16),
        ({}, 16),
    ],
)
def test_the_quota_of_the_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert available(tmp_path) == expected


def test_threads_wait_passively_unless_the_user_chose() -> None:
    environment: dict[str, str] = {}
    assert wait_passively(environment) == "OMP_WAIT_POLICY"
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        chosen = {name: "1"}
        assert wait_passively(chosen) is None
        assert chosen == {name: "1"}
