"""A progress bar on long work, and only when stderr is a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from tests.support.clips import scene, write_clip


def _read(descriptor: int) -> bytes:
    found = b""
    try:
        while block := os.read(descriptor, 1 << 16):
            found += block
    except OSError:
        pass  # the other end of a terminal that is gone reads as an error on Linux
    return found


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_a_terminal_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    for number in range(3):
        write_clip(tmp_path / f"{number}.mp4", scene(number))
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with os.fdopen(theirs, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        ended = main(
            [
                *("score", str(tmp_path), "--device=cpu", "--metrics=vbench.temporal_flickering"),
                f"--output={tmp_path / 'out.json'}",
            ]
        )
    shown = _read(ours).decode()
    os.close(ours)
    assert ended == 0, shown
    assert ("/3 [" in shown) if terminal else shown == ""
