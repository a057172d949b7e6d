from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from pytest_vidmetrics.core import places as module
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.places import forget_failures
from pytest_vidmetrics.core.weights import (
    Weights,
    ensure_checkpoint,
    resolve,
    weights_sha256,
)

URL = "https://example.invalid/some/w.bin"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("VIDMETRICS_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    forget_failures()
    return tmp_path / "cache"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fill(monkeypatch: pytest.MonkeyPatch, data: bytes) -> list[str]:
    asked: list[str] = []

    def to(self: module.Download, target: Path, good: module.Good) -> Path:
        if not good(target):
            asked.append(self.url)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return target

    monkeypatch.setattr(module.Download, "to", to)
    return asked


def test_a_local_path_is_returned_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"w")
    assert ensure_checkpoint("w", str(tmp_path / "w.bin")) == str(tmp_path / "w.bin")
    assert ensure_checkpoint("w", str(tmp_path), "w.bin") == str(tmp_path / "w.bin")
    assert ensure_checkpoint("w", "./w.bin", sha256=sha(b"w")) == "w.bin"
    with pytest.raises(UnavailableError, match="expected 0000"):
        ensure_checkpoint("w", "./w.bin", sha256="0" * 64)
    with pytest.raises(UnavailableError, match="does not exist"):
        ensure_checkpoint("w", "/absent/w.bin")


def test_a_source_of_no_known_kind() -> None:
    with pytest.raises(ValueError, match="neither an existing path, nor a URL, nor a repository"):
        ensure_checkpoint("w", "weights")


def test_a_url_is_kept_under_its_address_and_pin(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    asked = fill(monkeypatch, b"w")
    first = ensure_checkpoint("w.bin", URL)
    assert Path(first).is_relative_to(cache / "models")
    assert Path(first).name == "w.bin"
    assert ensure_checkpoint("w.bin", URL) == first
    # Another address or another pin under the same name is another file.
    assert ensure_checkpoint("w.bin", f"{URL}?v=2") != first
    assert ensure_checkpoint("w.bin", URL, sha256=sha(b"w")) != first
    assert asked == [URL, f"{URL}?v=2", URL]


def test_a_mirror_takes_the_place_of_every_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fill(monkeypatch, b"w")
    monkeypatch.setenv("VIDMETRICS_MIRROR", "http://mirror.invalid/base/")
    mirrored = ensure_checkpoint("w.bin", URL)
    assert asked == ["http://mirror.invalid/base/example.invalid/some/w.bin"]
    # The bytes are the same file wherever they came from.
    monkeypatch.delenv("VIDMETRICS_MIRROR")
    assert ensure_checkpoint("w.bin", URL) == mirrored


@pytest.mark.parametrize("name", ["../../evil", "a/b.bin", "x" * 400, ""])
def test_a_name_cannot_leave_the_cache(monkeypatch: pytest.MonkeyPatch, cache: Path, name: str) -> None:
    fill(monkeypatch, b"w")
    found = Path(ensure_checkpoint(name, URL)).resolve()
    assert found.parent.parent == (cache / "models").resolve()


@pytest.mark.parametrize("variable", ["VIDMETRICS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_says_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    checkpoint = Weights("w.bin", URL, size=7_400_000, licence="MIT", override="VIDMETRICS_W")
    with pytest.raises(UnavailableError) as caught:
        resolve(checkpoint, "vbench.color")
    for part in (
        "w.bin",
        URL,
        "7.4 MB",
        "licence: MIT",
        "vidmetrics fetch vbench.color",
        "$VIDMETRICS_W",
        "forbids fetching",
    ):
        assert part in str(caught.value)


def test_offline_uses_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(monkeypatch, b"w")
    first = ensure_checkpoint("w.bin", URL)
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "true")
    assert ensure_checkpoint("w.bin", URL) == first


def test_the_override_may_be_a_folder_with_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDMETRICS_W", str(tmp_path))
    (tmp_path / "w.bin").write_bytes(b"w")
    assert resolve(Weights("one", "org/name", "w.bin", override="VIDMETRICS_W")) == tmp_path / "w.bin"
    assert resolve(Weights("all", "org/name", override="VIDMETRICS_W")) == tmp_path
    with pytest.raises(UnavailableError, match="which does not exist"):
        resolve(Weights("other", "org/name", "x.bin", override="VIDMETRICS_W"))


def test_the_override_wins_and_is_the_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkpoint = Weights("w.bin", URL, sha256=sha(b"w"), override="VIDMETRICS_W")
    assert weights_sha256(checkpoint) == sha(b"w")
    (tmp_path / "mine.bin").write_bytes(b"other")
    monkeypatch.setenv("VIDMETRICS_W", str(tmp_path / "mine.bin"))
    assert resolve(checkpoint) == tmp_path / "mine.bin"
    assert weights_sha256(checkpoint) == sha(b"other")
    monkeypatch.setenv("VIDMETRICS_W", str(tmp_path / "absent.bin"))
    with pytest.raises(UnavailableError, match=r"\$VIDMETRICS_W names"):
        resolve(checkpoint)


def test_the_digest_of_unpinned_weights_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    path.write_bytes(b"one")
    assert weights_sha256(Weights("w", str(path))) == sha(b"one")
    path.write_bytes(b"three")
    assert weights_sha256(Weights("w", str(path))) == sha(b"three")


def test_a_repository_is_pinned_and_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[object, ...]] = []
    (tmp_path / "hub.bin").write_bytes(b"hub")

    def download(repo: str, filename: str, **options: object) -> str:
        calls.append((repo, filename, options["revision"], options["local_files_only"]))
        return str(tmp_path / "hub.bin")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    # A folder that is named like the repository does not shadow it.
    (tmp_path / "org" / "net").mkdir(parents=True)
    found = ensure_checkpoint("net", "org/net", "hub.bin", revision="abc", sha256=sha(b"hub"))
    assert found == str(tmp_path / "hub.bin")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnavailableError, match="sha256 of"):
        ensure_checkpoint("net", "org/net", "hub.bin", sha256="0" * 64)
    assert calls == [("org/net", "hub.bin", "abc", False), ("org/net", "hub.bin", None, True)]


def test_a_whole_repository_and_its_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def snapshot(repo: str, **options: object) -> str:
        if repo == "org/gone":
            raise RuntimeError("no such\nrepository")
        assert "*.h5" in options["ignore_patterns"]  # type: ignore[operator]
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert ensure_checkpoint("net", "org/net") == str(tmp_path)
    with pytest.raises(UnavailableError, match=r"org/gone@v1 .*no such repository"):
        ensure_checkpoint("net", "org/gone", revision="v1")


def test_what_the_hubs_cache_holds_is_used_without_asking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cached = {("org/here", "w.bin", "abc"): str(tmp_path)}
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda repo, filename, revision: cached.get((repo, filename, revision)),
    )
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **options: pytest.fail("asked the hub"))
    assert ensure_checkpoint("net", "org/here", "w.bin", revision="abc") == str(tmp_path)


def test_a_hub_that_does_not_answer_is_asked_once_for_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(repo: str, filename: str, **options: object) -> str:
        asked.append(filename)
        if filename == "gone.bin":
            raise RuntimeError("404")
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    for name, reason in [("gone.bin", "404"), ("gone.bin", "404"), ("a.bin", "no connection"), ("b.bin", "no conn")]:
        with pytest.raises(UnavailableError, match=reason):
            ensure_checkpoint("net", "org/silent", name)
    assert asked == ["gone.bin", "a.bin"]
    forget_failures()
    with pytest.raises(UnavailableError, match="no connection"):
        ensure_checkpoint("net", "org/silent", "b.bin")
    assert asked == ["gone.bin", "a.bin", "b.bin"]


def test_a_repository_is_looked_up_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def snapshot(repo: str, **options: object) -> str:
        asked.append(repo)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    for _ in range(3):
        assert ensure_checkpoint("net", "org/whole") == str(tmp_path)
    assert asked == ["org/whole"]


def test_a_repository_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UnavailableError, match="forbids fetching"):
        ensure_checkpoint("net", "org/net-that-is-nowhere", "w.safetensors")


def test_importing_costs_no_heavy_library_and_changes_no_environment() -> None:
    code = (
        "import os, sys; before = dict(os.environ)\n"
        "import pytest_vidmetrics, pytest_vidmetrics.core.weights, pytest_vidmetrics.engine.evaluator\n"
        "import pytest_vidmetrics.cli\n"
        "heavy = {'torch', 'numpy', 'scipy', 'transformers', 'huggingface_hub', 'av', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
