"""Which baselines nobody uses: told by what each says of its recorder, never by where it lies alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.prune import Used, idle_baselines, surplus_baselines
from pytest_vidmetrics.gates.recorder import Recorder

MANIFEST = "bench.vidmetrics.toml"
SCORES = CorpusScore({"name": "m"}, True, 0.5, {"a": 0.5}, {}, "ids", None)


@pytest.fixture
def folder(tmp_path: Path) -> BaselineFolder:
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / MANIFEST).touch()
    return BaselineFolder(tmp_path / "baselines", tmp_path)


def _record(folder: BaselineFolder, key: str, manifest: str = MANIFEST) -> str:
    _, case, gate = key.removesuffix(".json").split("/")
    owner = Recorder("manifest", manifest, case, gate.partition("@")[0])
    folder.write(key, Baseline.of(SCORES, owner))
    return key


def _surplus(folder: BaselineFolder, *used: str) -> list[str]:
    return surplus_baselines(folder, Used(used, [MANIFEST]))


def test_what_this_run_did_not_record_is_kept(folder: BaselineFolder) -> None:
    used = _record(folder, "bench/demo/psnr.json")
    (folder.path / "elsewhere").mkdir()
    (folder.path / "elsewhere" / MANIFEST).touch()
    idle = _record(folder, "bench/other/psnr.json", f"elsewhere/{MANIFEST}")
    broken = _record(folder, "bench/broken/psnr.json")
    folder.file(broken).write_text("{}")
    old = _record(folder, "bench/old/psnr.json")
    gone = _record(folder, "bench/zebra/psnr.json", f"moved/{MANIFEST}")
    assert _surplus(folder, used) == [old, gone]
    assert idle_baselines(folder, Used([used], [MANIFEST])) == {f"elsewhere/{MANIFEST}": [idle]}


def test_unused_files_of_used_manifests_are_surplus(folder: BaselineFolder) -> None:
    used = _record(folder, "bench/demo/psnr.json")
    _record(folder, "bench/demo/psnr@h100.json")
    old = _record(folder, "bench/demo/ssim.json")
    gone = _record(folder, "bench/gone/psnr@h100.json")
    far = _record(folder, "deleted/demo/psnr.json", "deleted.vidmetrics.toml")  # anywhere below the folder
    assert _surplus(folder, used) == [old, gone, far]


def test_checks_are_surplus_when_their_test_is_gone(folder: BaselineFolder) -> None:
    tests = folder.path / "test_gen.py"
    tests.touch()
    for name in ("test_here", "test_gone"):
        owner = Recorder("check", "test_gen.py", name, "q")
        folder.write(f"test_gen/{name}/q.json", Baseline.of(SCORES, owner))
    assert surplus_baselines(folder, Used([], [])) == []  # the file was not collected: nobody knows
    known = Used([], [], {"test_gen.py": ("test_here",)})
    assert surplus_baselines(folder, known) == ["test_gen/test_gone/q.json"]
    tests.unlink()
    assert len(surplus_baselines(folder, Used([], []))) == 2


def test_a_link_that_a_gate_uses_is_not_surplus(folder: BaselineFolder) -> None:
    used = _record(folder, "bench/demo/psnr.json")
    shared = folder.root / "shared.json"
    folder.file(used).rename(shared)
    folder.file(used).symlink_to(shared)
    (folder.path / "bench" / "old").symlink_to(folder.path / "bench" / "demo")  # a used folder under a second name
    surplus = _record(folder, "bench/demo/ssim.json")
    assert _surplus(folder, used) == [surplus]


def test_links_that_lead_to_themselves_or_out_hold_nothing(tmp_path: Path) -> None:
    folder = BaselineFolder(tmp_path / "baselines", tmp_path / "repository")
    folder.path.symlink_to(folder.path)
    assert _surplus(folder, "bench/demo/psnr.json") == []
    folder.path.unlink()
    outside = tmp_path / "outside.json"
    (folder.path / "bench" / "demo").mkdir(parents=True)
    outside.write_text("{}")
    (folder.path / "bench" / "demo" / "psnr.json").symlink_to(outside)
    assert _surplus(folder) == []
