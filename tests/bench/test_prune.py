from __future__ import annotations

from pathlib import Path

from pytest_vidmetrics.bench.prune import surplus_baselines


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def test_unused_files_of_used_manifests_are_surplus(tmp_path: Path) -> None:
    used = _file(tmp_path / "bench" / "demo" / "psnr.json")
    _file(tmp_path / "bench" / "demo" / "psnr@h100.json")
    old = _file(tmp_path / "bench" / "demo" / "ssim.json")
    gone = _file(tmp_path / "bench" / "gone" / "psnr@h100.json")
    _file(tmp_path / "other" / "demo" / "psnr.json")
    assert surplus_baselines(tmp_path, [used]) == [old, gone]
    assert surplus_baselines(tmp_path, []) == []


def test_a_link_that_a_gate_uses_is_not_surplus(tmp_path: Path) -> None:
    shared = _file(tmp_path / "shared" / "psnr.json")
    folder = tmp_path / "baselines"
    used = folder / "bench" / "demo" / "psnr.json"
    used.parent.mkdir(parents=True)
    used.symlink_to(shared)
    (folder / "bench" / "old").symlink_to(folder / "bench" / "demo")  # a used folder under a second name
    assert surplus_baselines(folder, [used]) == []
    moved = tmp_path / "moved"
    moved.symlink_to(folder)
    assert surplus_baselines(moved, [moved / "bench" / "demo" / "psnr.json"]) == []
    surplus = _file(folder / "bench" / "demo" / "ssim.json")
    assert surplus_baselines(folder, [used]) == [surplus, folder / "bench" / "old" / "ssim.json"]


def test_links_that_lead_to_themselves_hold_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "baselines"
    folder.symlink_to(folder)
    assert surplus_baselines(folder, [folder / "bench" / "demo" / "psnr.json"]) == []
