"""Torch files in the containers that published weights come in."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch


def save_zip(value: Any, path: Path) -> None:
    torch.save(value, path)


def save_legacy(value: Any, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


class _TarPickler(pickle.Pickler):
    """Writes tensors as numbers, and notes them."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=2)
        self.tensors: list[torch.Tensor] = []

    def persistent_id(self, obj: Any) -> str | None:
        if not isinstance(obj, torch.Tensor):
            return None
        self.tensors.append(obj)
        return str(len(self.tensors) + 99)


def save_tar(value: Any, path: Path) -> None:
    """Write a file as torch 0.1 did: nobody can any more."""
    main = io.BytesIO()
    pickler = _TarPickler(main)
    pickler.dump(value)
    kinds = {torch.float32: torch.FloatStorage, torch.float16: torch.HalfStorage, torch.int64: torch.LongStorage}
    storages, tensors = io.BytesIO(), io.BytesIO()
    pickle.dump(len(pickler.tensors), storages, protocol=2)
    pickle.dump(len(pickler.tensors), tensors, protocol=2)
    for number, tensor in enumerate(pickler.tensors):
        flat = torch.tensor([], dtype=tensor.dtype).set_(tensor.untyped_storage())
        pickle.dump((number, "cpu", kinds[tensor.dtype]), storages, protocol=2)
        storages.write(struct.pack("<q", len(flat)) + flat.numpy().tobytes())
        pickle.dump((100 + number, number, torch.FloatTensor), tensors, protocol=2)
        dims = tensor.ndim
        tensors.write(struct.pack("<ii", dims, 0))
        tensors.write(struct.pack(f"<{dims}q{dims}qq", *tensor.shape, *tensor.stride(), tensor.storage_offset()))
    pickle.dump([], storages, protocol=2)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, stream in (("storages", storages), ("tensors", tensors), ("pickle", main)):
            info = tarfile.TarInfo(name)
            info.size = len(stream.getvalue())
            archive.addfile(info, io.BytesIO(stream.getvalue()))


CONTAINERS: Mapping[str, Callable[[Any, Path], None]] = {"zip": save_zip, "legacy": save_legacy, "tar": save_tar}


def module_of(state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """Return a module whose parameters and buffers have the dotted names of ``state``, for TorchScript."""
    root = torch.nn.Module()
    for key, value in state.items():
        *path, last = key.split(".")
        node = root
        for part in path:
            if not hasattr(node, part):
                node.add_module(part, torch.nn.Module())
            node = getattr(node, part)
        if value.is_floating_point() and not last.startswith("running"):
            node.register_parameter(last, torch.nn.Parameter(value, requires_grad=False))
        else:
            node.register_buffer(last, value)
    return root


def save_torchscript(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write a scripted module with the names of ``state``, and with attributes whose lists and dicts are typed."""
    import warnings

    root = module_of(state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(root.eval())
        scripted._c._register_attribute("endpoints", torch._C.ListType(torch._C.StringType.get()), ["Mixed_5c"])
        scripted.save(str(path))
