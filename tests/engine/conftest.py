from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks import shared
from tests.support.s3 import Door, serving, use_bucket


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """An empty registry: only what the test registers exists."""
    known: dict[str, Any] = {}
    monkeypatch.setattr(registry, "_registry", known)
    monkeypatch.setattr(registry, "_discovered", True)
    shared.clear()
    yield known
    shared.clear()


@pytest.fixture
def write_clip(tmp_path: Path) -> Callable[..., str]:
    """Write a small losslessly coded clip whose frames are flat greys of the given levels."""

    def write(name: str, levels: list[int], size: int = 16, fps: int = 8) -> str:
        import av
        import numpy as np

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=fps)
            stream.width = stream.height = size
            stream.pix_fmt = "bgr0"
            for level in levels:
                pixels = np.full((size, size, 3), level, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="bgr0")))
            container.mux(stream.encode())
        return str(path)

    return write


@pytest.fixture(scope="session")
def s3() -> Iterator[Door]:
    """The door to an S3 server in this process."""
    with serving() as door:
        yield door


@pytest.fixture
def bucket(s3: Door, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL in a new bucket of that server."""
    return use_bucket(s3, monkeypatch)
