"""One reader for the torch files of every age: the same tensors as torch gives, and only those that are asked for."""

from __future__ import annotations

import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.networks.state_files import WeightsFileError, read_state, read_value
from pytest_vidmetrics.networks.torch_files import read_torch_file
from tests.support.torch_containers import CONTAINERS, save_legacy, save_tar, save_torchscript, save_zip

Save = Callable[[Any, Path], None]


def _state() -> OrderedDict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return OrderedDict(
        {
            "plain": base.clone(),
            "turned": base.clone().T,
            "part": base[1:3, ::2],
            "half": base.half(),
            "count": torch.tensor(7),
            "empty": torch.empty(0, 3),
        }
    )


def _same(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert found[key].shape == value.shape
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize("container", sorted(CONTAINERS))
def test_tensors_are_those_of_torch(container: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    CONTAINERS[container](_state(), path)
    _same(read_state(path), torch.load(path, weights_only=container != "tar"))
    _same(read_state(path), _state())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.uint16, torch.int32])
@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_types_of_numbers(save: Save, dtype: torch.dtype, tmp_path: Path) -> None:
    if save is save_legacy and dtype is torch.uint16:
        pytest.skip("the legacy format has no storage of this type")
    value = torch.arange(6).reshape(2, 3).to(dtype)
    save({"x": value}, tmp_path / "w.pt")
    _same(read_state(tmp_path / "w.pt"), {"x": value})


@pytest.mark.parametrize("save", [save_zip, save_legacy, save_tar])
def test_a_part_is_found_beside_an_unknown_class_and_an_optimiser(save: Save, tmp_path: Path) -> None:
    state = OrderedDict({"module.a": torch.ones(3), "module.b": torch.zeros(2, 2)})
    if save is not save_tar:
        state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    whole = {"epoch": 3, "state_dict": state, "args": Path("x"), "optimizer": {"lr": np.float64(0.1)}}
    save(whole, tmp_path / "w.pt")
    _same(read_state(tmp_path / "w.pt", "state_dict"), state)
    _same(
        read_state(tmp_path / "w.pt", ("model", "state_dict"), prefixes=("module.b",)), {"module.b": state["module.b"]}
    )


def test_parameters_and_containers_that_are_not_there(tmp_path: Path) -> None:
    save_zip({"a": torch.nn.Parameter(torch.ones(2))}, tmp_path / "w.pt")
    _same(read_state(tmp_path / "w.pt", "model"), {"a": torch.ones(2)})


def test_shared_storage_is_shared(tmp_path: Path) -> None:
    table = torch.arange(12.0).reshape(4, 3).half()
    save_zip({"model": {"words": table, "out": table, "rows": table[1:3]}}, tmp_path / "w.pt")
    found = read_state(tmp_path / "w.pt", "model")
    assert found["words"].data_ptr() == found["out"].data_ptr()
    assert torch.equal(found["rows"], table[1:3])
    assert found["rows"].untyped_storage().data_ptr() == found["words"].untyped_storage().data_ptr()
    alone = read_state(tmp_path / "w.pt", "model", prefixes=("rows",))
    assert alone["rows"].untyped_storage().nbytes() == 12


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    save_zip({"state_dict": {"a": torch.ones(4)}, "optimizer": {"a": torch.ones(1000)}}, tmp_path / "w.pt")
    data = bytearray((tmp_path / "w.pt").read_bytes())
    # The optimiser's storage loses its header: whoever reads it fails.
    with zipfile.ZipFile(tmp_path / "w.pt") as archive:
        record = next(info for info in archive.infolist() if info.file_size == 4000)
    data[record.header_offset : record.header_offset + 4] = b"XXXX"
    (tmp_path / "w.pt").write_bytes(data)
    _same(read_state(tmp_path / "w.pt", "state_dict"), {"a": torch.ones(4)})
    with pytest.raises(WeightsFileError, match="no header"):
        read_state(tmp_path / "w.pt", "optimizer")


def test_a_compressed_archive_is_read(tmp_path: Path) -> None:
    save_zip(_state(), tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as old,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    _same(read_state(tmp_path / "z.pt"), _state())


def test_files_in_the_cache_are_mapped_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    for folder in ("cache", "."):
        path = tmp_path / folder / "w.pt"
        save_zip({"a": torch.ones(5000)}, path)
        found = read_state(path)["a"]
        found += 1  # private: the file stays as it is
        assert torch.equal(read_state(path)["a"], torch.ones(5000))
        mapped = any(str(path.resolve()) in line for line in Path("/proc/self/maps").read_text().splitlines())
        assert mapped == (folder == "cache")
        del found


def test_torchscript_tensors_have_dotted_names(tmp_path: Path) -> None:
    state = {"stem.conv.weight": torch.randn(3, 2), "stem.bn.running_mean": torch.randn(3), "head.bias": torch.ones(1)}
    save_torchscript(state, tmp_path / "w.pt")
    with zipfile.ZipFile(tmp_path / "w.pt") as archive:
        assert b"restore_type_tag" in archive.read("w/data.pkl")
    found = read_state(tmp_path / "w.pt")
    assert set(found) == set(state)
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_safetensors_by_content_and_by_part(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a.x": torch.ones(2), "b.x": torch.zeros(2).bfloat16()}, tmp_path / "no_suffix")
    _same(read_state(tmp_path / "no_suffix", prefixes=("b.",)), {"b.x": torch.zeros(2).bfloat16()})


def test_values_beside_tensors(tmp_path: Path) -> None:
    save_zip({"config": {"width": 3, "names": ["a"]}, "x": torch.ones(2)}, tmp_path / "w.pt")
    found = read_value(tmp_path / "w.pt")
    assert found["config"] == {"width": 3, "names": ["a"]}
    assert torch.equal(found["x"], torch.ones(2))


def test_what_is_not_a_state_dict_is_described(tmp_path: Path) -> None:
    save_zip([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsFileError, match="no state dict but a list"):
        read_state(tmp_path / "list.pt")
    save_zip({"epoch": 1, "loss": 2.0}, tmp_path / "numbers.pt")
    with pytest.raises(WeightsFileError, match=r"no state dict but 2 entries \('epoch', 'loss'\)"):
        read_state(tmp_path / "numbers.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_zip(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    with pytest.raises(WeightsFileError, match=r"no state dict but .*Linear|entries"):
        read_state(tmp_path / "module.pt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.pt", b"", "is empty"),
        ("text.pt", b"<html>404</html>", "not a torch file"),
        ("zip.pt", b"PK\x03\x04 and no more", "damaged"),
        ("pickle.pt", b"\x80\x02K\x01.", "torch did not write"),
        ("header.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{garbage", "not a safetensors file"),
    ],
)
def test_files_of_something_else(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsFileError, match=message):
        read_state(tmp_path / name)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsFileError, match="folder"):
        read_state(tmp_path)


@pytest.mark.parametrize("container", sorted(CONTAINERS))
def test_truncated_files(container: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    CONTAINERS[container](_state(), path)
    whole = path.read_bytes().rstrip(b"\0")  # a tar file ends with empty blocks
    for part in (0.2, 0.5, 0.8, 0.95):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(WeightsFileError):
            read_state(path)


def test_an_object_of_an_unknown_class_stays_a_name(tmp_path: Path) -> None:
    save_zip({"args": Path("a/b"), "x": torch.ones(1)}, tmp_path / "w.pt")
    assert "Path" in repr(read_torch_file(tmp_path / "w.pt")["args"])
