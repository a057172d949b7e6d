"""Files of weights that went wrong on the way or later: noticed before they are used, in one message."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.core import download
from pytest_vidmetrics.core import weights as module
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.places import Source, forget_failures
from pytest_vidmetrics.core.weights import Weights, resolve, verify
from pytest_vidmetrics.networks import loading, shared
from pytest_vidmetrics.networks.published.video import AMT_S
from pytest_vidmetrics.networks.state_dicts import assign, read_state
from tests.support.hostile_pickles import FORMS, PROTOCOL
from tests.support.torch_containers import save_zip
from tests.support.weights_server import WeightsServer, serving

URL = "https://example.invalid/releases/w.pt"
SECOND = Source("org/copy", "w.pt", "b" * 40)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    save_zip({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, tmp_path / "good.pt")
    return tmp_path / "good.pt"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsServer]:
    shared.clear()
    monkeypatch.setattr(module, "_warned", set())
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serving(tmp_path / "cache", monkeypatch) as served:
        yield served
    shared.clear()


@pytest.fixture
def pinned(good: Path, server: WeightsServer) -> Weights:
    server.add(Source(URL), good)
    return Weights(
        "w.pt",
        URL,
        sha256=digest_file(good),
        size=good.stat().st_size,
        licence="MIT",
        others=(SECOND,),
        override="VIDMETRICS_W",
    )


def read(path: Path, device: object) -> torch.nn.Module:
    with torch.device("meta"):
        network = torch.nn.Linear(3, 2)
    return assign(network, read_state(path, "state_dict"))


def loaded(one: Weights) -> torch.nn.Module:
    return loading.load("linear", read, [one], "cpu", "fake.metric")


def refused(one: Weights) -> str:
    shared.clear()
    with pytest.raises(UnavailableError) as caught:
        loaded(one)
    return str(caught.value)


def left_over(cache: Path) -> set[str]:
    """Return what lies in the cache beside locks and records."""
    return {path.name for path in cache.rglob("*") if path.is_file() and path.suffix not in (".lock", ".json")}


# What was fetched changes later


def test_a_file_that_is_damaged_later_is_fetched_again(pinned: Weights, server: WeightsServer) -> None:
    path = resolve(pinned)
    for damage in (b"damaged", b"", path.read_bytes()[:-7]):
        path.write_bytes(damage)
        shared.clear()
        assert torch.equal(loaded(pinned).weight, torch.ones(2, 3))
        assert digest_file(path) == pinned.sha256
    assert len(server.asked("GET")) == 4


def test_a_file_of_the_hub_that_is_damaged_later_is_fetched_again(good: Path, server: WeightsServer) -> None:
    one = Weights("w.pt", "org/name", "w.pt", revision="a" * 40, sha256=digest_file(good))
    server.add(one.sources()[0], good)
    path = resolve(one)
    path.resolve().write_bytes(b"damaged")
    assert digest_file(resolve(one)) == one.sha256


def test_a_file_of_equal_size_is_noticed_by_its_time(pinned: Weights) -> None:
    path = resolve(pinned)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    assert digest_file(resolve(pinned)) == pinned.sha256


def test_an_unchanged_file_is_not_read_again(pinned: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_vidmetrics.core import verified

    resolve(pinned)
    monkeypatch.setattr(verified, "digest_file", lambda path: pytest.fail("hashed again"))
    assert resolve(pinned).is_file()


def test_a_damaged_file_offline_is_refused_and_kept_for_nobody(
    pinned: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(pinned).write_bytes(b"damaged")
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "1")
    text = refused(pinned)
    assert f"expected {pinned.sha256}" in text
    assert "vidmetrics fetch fake.metric" in text
    assert "forbids fetching" in text


def test_fetch_verify_names_the_damage(
    good: Path, server: WeightsServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["fetch", "amt-s.pth", "--verify"]) == 0
    assert "amt-s.pth: not here" in capsys.readouterr().out
    server.add(AMT_S.sources()[0], good)
    assert main(["fetch", "amt-s.pth"]) == 1
    assert f"expected {AMT_S.sha256}" in " ".join(capsys.readouterr().err.split())
    assert verify(AMT_S) is not None
    assert main(["fetch", "amt-s.pth", "--verify"]) == 1
    assert f"expected {AMT_S.sha256}" in capsys.readouterr().out


# Pins, sources, mirrors


def test_another_file_with_one_record_is_warned_of_and_used(pinned: Weights, good: Path, tmp_path: Path) -> None:
    one = replace(pinned, sha256="0" * 64, confirmed=False, size=None)
    with pytest.warns(UserWarning, match=r"not the recorded 0000.*Only one record"):
        path = resolve(one)
    assert digest_file(path) == digest_file(good)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve(one)  # said once


def test_another_file_with_several_records_is_refused_before_it_is_read(
    pinned: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "refusing", lambda *args: pytest.fail("read"))
    text = refused(replace(pinned, sha256="0" * 64))
    assert "sha256 is" in text
    assert f"expected {'0' * 64}" in text
    assert "another file" in text
    assert left_over(tmp_path / "cache") == set()


def test_the_second_source_is_tried_when_the_first_has_nothing_or_another_file(
    pinned: Weights, good: Path, server: WeightsServer, tmp_path: Path
) -> None:
    for first in (None, tmp_path / "other"):
        server.files.clear()
        if first is not None:
            first.write_bytes(b"x" * good.stat().st_size)
            server.add(Source(URL), first)
        server.add(SECOND, good)
        assert digest_file(resolve(pinned, again=True)) == pinned.sha256
        forget_failures()


def test_no_source_answers_and_all_are_named(pinned: Weights, server: WeightsServer, tmp_path: Path) -> None:
    server.files.clear()
    text = refused(pinned)
    assert "HTTP status 404" in text
    assert str(SECOND) in text
    assert "(0.0 MB, licence: MIT)" in text
    assert "Get them with: vidmetrics fetch fake.metric, or set $VIDMETRICS_W to a local copy" in text
    assert left_over(tmp_path / "cache") == set()


def test_a_mirror_with_another_file(pinned: Weights, server: WeightsServer, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(b"<html>please log in</html>")
    server.files = {next(iter(server.files)): tmp_path / "page.html"}
    text = refused(pinned)
    assert "26 bytes, expected" in text
    assert "twice: it is another file" in text
    assert left_over(tmp_path / "cache") == set()


def test_a_connection_that_breaks_is_resumed(pinned: Weights, server: WeightsServer, good: Path) -> None:
    server.cut = [200, 300]
    assert digest_file(resolve(pinned)) == pinned.sha256
    assert len(server.asked("GET")) == 3


def test_a_cache_that_cannot_be_written(pinned: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / "vidmetrics").write_text("a file where the folder should be")
    text = refused(replace(pinned, others=()))
    assert "cannot be written" in text
    assert "$VIDMETRICS_CACHE" in text


def test_a_read_only_cache_that_holds_the_file_is_enough(
    pinned: Weights, server: WeightsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_vidmetrics.core import verified

    path = resolve(pinned)
    verified.Verified(path).forget()

    def refuse(*args: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(verified, "write_atomic", refuse)
    assert resolve(pinned) == path
    assert len(server.asked("GET")) == 1


# What the file is


def hostile(path: Path) -> None:
    path.write_bytes(PROTOCOL + FORMS["reduce"]("builtins", "open", (str(path.with_name("canary")), "w")) + b".")


def truncated(path: Path) -> None:
    save_zip({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, path)
    path.write_bytes(path.read_bytes()[:-300])


CONTENTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "zero bytes": (lambda path: path.write_bytes(b""), "the file is empty"),
    "a folder": (lambda path: path.mkdir(), "a folder"),
    "a page": (lambda path: path.write_bytes(b"<html>404</html>"), "not a torch file"),
    "truncated": (truncated, "damaged"),
    "a list": (lambda path: save_zip([torch.ones(2)], path), "no state dict but a list"),
    "a payload": (hostile, "torch did not write"),
    "damaged header of safetensors": (
        lambda path: path.write_bytes(b"\x10" + b"\0" * 7 + b"{garbage......."),
        "safetensors",
    ),
    "another network": (
        lambda path: save_zip({"fc.weight": torch.ones(4), "fc.bias": torch.ones(4)}, path),
        "weight (2, 3) is missing (and 1 more), fc.weight (4,) is not expected (and 1 more)",
    ),
    "another shape": (
        lambda path: save_zip({"weight": torch.ones(2, 9), "bias": torch.ones(2)}, path),
        "weight has the shape (2, 9), (2, 3) expected",
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_of_something_else_is_one_message(
    name: str, pinned: Weights, server: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a local file, and, where a server can have it, from an unpinned source."""
    write, reason = CONTENTS[name]
    path = tmp_path / "local.pt"
    write(path)
    monkeypatch.setenv("VIDMETRICS_W", str(path))
    text = refused(pinned)
    assert "does not hold the weights of linear" in text
    assert str(path) in text
    assert reason in text
    assert "Set $VIDMETRICS_W to another file" in text
    monkeypatch.delenv("VIDMETRICS_W")
    if path.is_file() and path.stat().st_size:
        server.add(Source(URL), path)
        text = refused(replace(pinned, sha256=None, size=None, others=()))
        assert reason in text
        assert "Fetch again with: vidmetrics fetch --again w.pt" in text
    assert not (tmp_path / "canary").exists()


def test_a_file_that_changes_while_it_is_read(
    pinned: Weights, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "changing.pt"
    path.write_bytes(good.read_bytes())
    monkeypatch.setenv("VIDMETRICS_W", str(path))

    def slowly(one: Path, device: object) -> torch.nn.Module:
        found = read(one, device)
        save_zip({"weight": torch.ones(9), "bias": torch.zeros(2)}, one)
        return found

    with pytest.raises(UnavailableError, match=r"changing\.pt changed while it was read: run again"):
        loading.load("linear", slowly, [pinned], "cpu")


def test_no_network_is_one_message(pinned: Weights, server: WeightsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDMETRICS_MIRROR", "http://127.0.0.1:9")
    text = refused(replace(pinned, others=()))
    assert "Connection refused" in text or "refused" in text
    assert text.count("vidmetrics fetch") == 1


def test_no_message_counts_more_than_there_is() -> None:
    """Of a message like "230 of 344 tensors" both numbers are of the network, or there is one number."""
    from pytest_vidmetrics.networks.state_dicts import MisfitError

    text = str(MisfitError("Linear", {f"w{i}": (1,) for i in range(8)}, {f"x{i}": (1,) for i in range(4)}))
    assert text == "it does not fit Linear: w0 (1,) is missing (and 7 more), x0 (1,) is not expected (and 3 more)"
