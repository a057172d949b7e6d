from __future__ import annotations

from pathlib import Path

from pytest_vidmetrics.gates.baseline import Baseline, write_baseline
from pytest_vidmetrics.gates.prune import surplus_baselines

MANIFEST = "bench.vidmetrics.toml"


def _file(path: Path, manifest: str | None = MANIFEST) -> Path:
    owner = {"manifest": manifest} if manifest else {}
    scores = Baseline({"name": "m"}, True, 0.5, {"a": 0.5}, "ids", None, environment=owner)
    write_baseline(path, scores.to_json())
    return path


def _surplus(folder: Path, used: list[Path]) -> list[Path]:
    return surplus_baselines(folder, used, [MANIFEST])


def test_what_this_run_did_not_record_is_kept(tmp_path: Path) -> None:
    used = _file(tmp_path / "bench" / "demo" / "psnr.json")
    _file(tmp_path / "bench" / "test_function" / "check.json", None)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / MANIFEST).touch()
    _file(tmp_path / "bench" / "other" / "psnr.json", f"elsewhere/{MANIFEST}")
    broken = _file(tmp_path / "bench" / "broken" / "psnr.json")
    broken.write_text("{}")
    old = _file(tmp_path / "bench" / "old" / "psnr.json")
    gone = _file(tmp_path / "bench" / "zebra" / "psnr.json", f"moved/{MANIFEST}")
    assert _surplus(tmp_path, [used]) == [old, gone]


def test_unused_files_of_used_manifests_are_surplus(tmp_path: Path) -> None:
    used = _file(tmp_path / "bench" / "demo" / "psnr.json")
    _file(tmp_path / "bench" / "demo" / "psnr@h100.json")
    old = _file(tmp_path / "bench" / "demo" / "ssim.json")
    gone = _file(tmp_path / "bench" / "gone" / "psnr@h100.json")
    _file(tmp_path / "other" / "demo" / "psnr.json")
    assert _surplus(tmp_path, [used]) == [old, gone]
    assert _surplus(tmp_path, []) == []


def test_a_link_that_a_gate_uses_is_not_surplus(tmp_path: Path) -> None:
    shared = _file(tmp_path / "shared" / "psnr.json")
    folder = tmp_path / "baselines"
    used = folder / "bench" / "demo" / "psnr.json"
    used.parent.mkdir(parents=True)
    used.symlink_to(shared)
    (folder / "bench" / "old").symlink_to(folder / "bench" / "demo")  # a used folder under a second name
    assert _surplus(folder, [used]) == []
    moved = tmp_path / "moved"
    moved.symlink_to(folder)
    assert _surplus(moved, [moved / "bench" / "demo" / "psnr.json"]) == []
    surplus = _file(folder / "bench" / "demo" / "ssim.json")
    assert _surplus(folder, [used]) == [surplus, folder / "bench" / "old" / "ssim.json"]


def test_links_that_lead_to_themselves_hold_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "baselines"
    folder.symlink_to(folder)
    assert _surplus(folder, [folder / "bench" / "demo" / "psnr.json"]) == []
