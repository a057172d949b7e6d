"""Pickles that run something when they are unpickled: what, how it is asked for, and in which file it hides.

Every payload makes one file, the canary. ``pickle.loads`` makes it; a reader that executes nothing does not.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

Payload = tuple[str, str, tuple[Any, ...]]
"""Module, name and arguments of a call."""


def payloads(canary: Path) -> dict[str, Payload]:
    """Return calls that make the canary."""
    script = canary.with_name("script.py")
    code = f"open({str(canary)!r}, 'w').close()"
    script.write_text(code)
    nested = pickle.dumps(_Call("builtins", "exec", (code,)), protocol=2)
    torch_bytes = io.BytesIO()
    torch.save({"x": _Call("builtins", "exec", (code,))}, torch_bytes)
    plain = io.BytesIO()
    torch.save(_Call("builtins", "exec", (code,)), plain, _use_new_zipfile_serialization=False)
    touch, path = f"touch {canary}", str(canary)
    return {
        "exec": ("builtins", "exec", (code,)),
        "eval": ("builtins", "eval", (code,)),
        "open": ("builtins", "open", (path, "w")),
        "io": ("io", "open", (path, "w")),
        "_io": ("_io", "open", (path, "w")),
        "FileIO": ("_io", "FileIO", (path, "w")),
        "system": ("os", "system", (touch,)),
        "posix": ("posix", "system", (touch,)),
        "mkdir": ("posix", "mkdir", (path,)),
        "symlink": ("os", "symlink", (str(script), path)),
        "link": ("posix", "link", (str(script), path)),
        "subprocess": ("subprocess", "check_call", (["touch", path],)),
        "getoutput": ("subprocess", "getoutput", (touch,)),
        "run_path": ("runpy", "run_path", (str(script),)),
        "timeit": (
            "timeit",
            "timeit",
            ("pass", code, *()),
        ),
        "profile": ("cProfile", "run", (code, str(canary.with_name("profile")))),
        "copyfile": ("shutil", "copyfile", (str(script), path)),
        "move": ("shutil", "copy", (str(script), path)),
        "make_archive": ("zipfile", "ZipFile", (path, "w")),
        "tarfile": ("tarfile", "open", (path, "w")),
        "gzip": ("gzip", "open", (path, "w")),
        "bz2": ("bz2", "open", (path, "w")),
        "codecs": ("codecs", "open", (path, "w")),
        "logging": ("logging", "FileHandler", (path,)),
        "sqlite": ("sqlite3", "connect", (path,)),
        "pickle.loads": ("pickle", "loads", (nested,)),
        "_pickle.loads": ("_pickle", "loads", (nested,)),
        "load_from_bytes": ("torch.storage", "_load_from_bytes", (plain.getvalue(),)),
        "torch.save": ("torch", "save", ({}, path)),
        "numpy.save": ("numpy", "save", (f"{path}.npy", 1)),
        "touch": ("pathlib", "Path.touch", (canary,)),
        "write_text": ("pathlib", "Path.write_text", (canary, "x")),
        "memmap": ("numpy", "memmap", (path, "uint8", "w+", 0, (1,))),
    }


class _Call:
    """Pickles as a call."""

    def __init__(self, module: str, name: str, args: tuple[Any, ...]) -> None:
        self._found: Any = __import__(module, fromlist=["_"])
        for part in name.split("."):
            self._found = getattr(self._found, part)
        self._args = args

    def __reduce__(self) -> Any:
        return self._found, self._args


def _args(values: tuple[Any, ...], protocol: int = 2) -> bytes:
    """Return the opcodes that put a tuple on the stack."""
    body = pickle.dumps(values, protocol=protocol)
    return body[2:-1] if protocol else body[:-1]


def _each(values: tuple[Any, ...]) -> bytes:
    return b"".join(pickle.dumps(value, protocol=2)[2:-1].replace(b"q\x00", b"") for value in values)


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _reduce_global(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return f"c{module}\n{name}\n".encode() + _args(args) + b"R"


def _reduce_protocol_0(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return f"c{module}\n{name}\n".encode() + _args(args, 0) + b"R"


def _reduce_stack_global(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return _text(module) + _text(name) + b"\x93" + _args(args) + b"R"


def _memoised(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return f"c{module}\n{name}\nq\xc8".encode("latin-1") + b"0" + b"h\xc8" + _args(args) + b"R"


def _inst(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return b"(" + _each(args) + f"i{module}\n{name}\n".encode()


def _obj(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return b"(" + f"c{module}\n{name}\n".encode() + _each(args) + b"o"


def _newobj(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return f"c{module}\n{name}\n".encode() + _args(args) + b"\x81"


def _newobj_ex(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return f"c{module}\n{name}\n".encode() + _args(args) + b"}" + b"\x92"


def _by_getattr(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    """Call what ``getattr(__import__(module), name)`` gives."""
    found = b"cbuiltins\n__import__\n" + _text(module) + b"\x85R"
    for part in name.split("."):
        found = b"cbuiltins\ngetattr\n" + found + _text(part) + b"\x86R"
    return found + _args(args) + b"R"


def _by_partial(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return b"cfunctools\npartial\n" + f"c{module}\n{name}\n".encode() + b"\x85R" + _args(args) + b"R"


def _by_setstate(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    """Give an object a ``__setstate__`` that is the call's first argument's caller, then build it."""
    partial = b"cfunctools\npartial\n" + f"c{module}\n{name}\n".encode() + b"\x85R"
    state = b"}" + _text("__setstate__") + partial + b"s"
    return b"ctypes\nSimpleNamespace\n)R" + state + b"b" + _each(args[:1]) + b"b"


def _in_a_list(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return b"]" + _reduce_global(module, name, args) + b"a"


def _as_a_key(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return b"}" + _reduce_global(module, name, args) + b"Ns"


def _by_starmap(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    """Make a list of what a lazy iterator calls."""
    calls = f"c{module}\n{name}\n".encode() + b"(" + _args(args) + b"l" + b"\x86R"
    return b"cbuiltins\nlist\n" + b"citertools\nstarmap\n" + calls + b"\x85R"


def _by_methodcaller(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    """Call a method of a module by its name."""
    caller = b"coperator\nmethodcaller\n(" + _text(name) + _each(args) + b"tR"
    return caller + b"cbuiltins\n__import__\n" + _text(module) + b"\x85R\x85R"


def _as_a_persistent_id(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    return _reduce_global(module, name, args) + b"Q"


def _in_a_storage(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    """Call where the id of a tensor's storage has its key."""
    key = _reduce_global(module, name, args)
    return b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + key + _text("cpu") + b"K\x01tQ"


def _as_a_hook(module: str, name: str, args: tuple[Any, ...]) -> bytes:
    """Call in the hooks of a tensor that is made anew."""
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + b"K\x01tQ"
    hooks = _reduce_global(module, name, args)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85\x89" + hooks + b"tR"


FORMS: dict[str, Callable[[str, str, tuple[Any, ...]], bytes]] = {
    "reduce": _reduce_global,
    "reduce, protocol 0": _reduce_protocol_0,
    "reduce, names on the stack": _reduce_stack_global,
    "reduce, from the memo": _memoised,
    "inst": _inst,
    "obj": _obj,
    "newobj": _newobj,
    "newobj with keywords": _newobj_ex,
    "getattr": _by_getattr,
    "partial": _by_partial,
    "setstate": _by_setstate,
    "in a list": _in_a_list,
    "as a key": _as_a_key,
    "starmap": _by_starmap,
    "methodcaller": _by_methodcaller,
    "persistent id": _as_a_persistent_id,
    "key of a storage": _in_a_storage,
    "hooks of a tensor": _as_a_hook,
}
PROTOCOL = b"\x80\x04"
_NONE, _ONE = pickle.dumps(0, protocol=2), pickle.dumps(1, protocol=2)
"""How many storages or tensors follow in a tar file."""


def containers(body: bytes, folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the opcodes of one value into files of every container, and yield what they are called."""
    whole = PROTOCOL + body + b"."
    beside = _beside(body)
    for name, data in {
        "raw": whole,
        "legacy, first": whole,
        "legacy, protocol": _legacy(1, whole),
        "legacy, machine": _legacy(2, whole),
        "legacy, object": _legacy(3, whole),
        "legacy, keys": _legacy(4, whole),
        "zip": _zip({"data.pkl": whole}),
        "zip, beside tensors": _zip({"data.pkl": beside, "data/0": b"\0" * 4}),
        "zip, compressed": _zip({"data.pkl": whole}, zipfile.ZIP_DEFLATED),
        "torchscript": _zip({"data.pkl": whole, "constants.pkl": whole, "code/__torch__.py": b"raise SystemExit"}),
        "torchscript, constants": _zip({"data.pkl": PROTOCOL + b"}.", "constants.pkl": whole}),
        "tar, pickle": _tar(pickle_=whole),
        "tar, storages": _tar(storages=whole),
        "tar, tensors": _tar(tensors=whole),
        "tar, one storage": _tar(storages=_ONE + whole),
        "tar, views of storages": _tar(storages=_NONE + whole),
        "tar, one tensor": _tar(tensors=_ONE + whole),
        "tar, compressed": gzip.compress(_tar(pickle_=whole), mtime=0),
    }.items():
        path = folder / "weights.pt"
        path.write_bytes(data)
        yield name, path


def _beside(body: bytes) -> bytes:
    """Return the pickle of ``{"x": tensor, "evil": body}``."""
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + b"K\x01tQ"
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\x00K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )
    return PROTOCOL + b"}(" + _text("x") + tensor + _text("evil") + body + b"u."


def _legacy(position: int, payload: bytes) -> bytes:
    parts = [
        pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2),
        pickle.dumps(1001, protocol=2),
        pickle.dumps({"little_endian": True}, protocol=2),
        pickle.dumps({}, protocol=2),
        pickle.dumps([], protocol=2),
    ]
    parts[position] = payload
    return b"".join(parts)


def _zip(records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(f"archive/{name}", data)
    return stream.getvalue()


def _tar(*, storages: bytes = b"", tensors: bytes = b"", pickle_: bytes = b"") -> bytes:
    nothing = pickle.dumps(0, protocol=2) + pickle.dumps([], protocol=2)
    parts = {"storages": storages or nothing, "tensors": tensors or nothing, "pickle": pickle_ or PROTOCOL + b"}."}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()
