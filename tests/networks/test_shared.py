from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.networks import shared


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    shared.clear()
    shared.loads.clear()
    shared.forwards.clear()
    yield
    shared.clear()


def test_one_instance_per_name_device_and_variant() -> None:
    assert shared.load("net", "cpu", object) is shared.load("net", "cpu", object)
    assert shared.load("net", "cpu", object) is not shared.load("net", "cuda:0", object)
    assert shared.load("net", "cpu", object, "half") is not shared.load("net", "cpu", object)
    assert shared.loads[("net", "cpu")] == 1


def test_threads_that_ask_at_once_build_once() -> None:
    barrier = threading.Barrier(8)
    found: list[object] = []

    def ask() -> None:
        barrier.wait()
        found.append(shared.load("net", "cpu", object))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1
    assert shared.loads[("net", "cpu")] == 1


def test_a_failed_build_is_tried_again() -> None:
    def fail() -> object:
        raise OSError("no weights")

    with pytest.raises(OSError, match="no weights"):
        shared.load("net", "cpu", fail)
    assert shared.load("net", "cpu", lambda: 3) == 3


def test_one_forward_per_sample_and_none_remembered_outside() -> None:
    with shared.sample_scope():
        assert shared.once("key", lambda: 1) == 1
        assert shared.once("key", lambda: 2) == 1
    assert shared.once("key", lambda: 3) == 3
    with shared.sample_scope():
        assert shared.once("key", lambda: 4) == 4
    assert shared.forwards["key"] == 3


def test_a_clip_and_its_reference_are_told_apart() -> None:
    with shared.sample_scope():
        assert shared.once("key", lambda: "clip", of=[1]) == "clip"
        assert shared.once("key", lambda: "reference", of=[1]) == "reference"


def test_a_provider_goes_first() -> None:
    def provider(name: str, device: str) -> object | None:
        return (name, device) if name == "mine" else None

    shared.add_provider(provider)
    try:
        assert shared.load("mine", "cpu", object) == ("mine", "cpu")
        assert shared.load("other", "cpu", lambda: "built") == "built"
    finally:
        shared.remove_provider(provider)


def test_one_device_has_one_spelling() -> None:
    before = shared.loads.total()
    found = [shared.load("net", device, object) for device in ("cuda", "cuda:0", torch.device("cuda", 0))]
    assert shared.loads.total() == before + 1
    assert len({id(one) for one in found}) == 1
    assert BaseMetric().to(torch.device("cuda")).device == BaseMetric().to("cuda:0").device == "cuda:0"
