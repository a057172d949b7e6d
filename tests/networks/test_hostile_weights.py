"""Files of weights that would run something: nothing of them runs, whatever the form and the container."""

from __future__ import annotations

import contextlib
import copyreg
import io
import pickle
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.networks.state_files import WeightsFileError, first_tensor, read_state, read_value
from tests.support.hostile_pickles import FORMS, PROTOCOL, containers, payloads
from tests.support.torch_containers import save_zip


def _gone(canary: Path) -> bool:
    """Whether nobody made the canary; removes it."""
    made = [path for path in (canary, Path(f"{canary}.npy")) if path.exists() or path.is_symlink()]
    for path in made:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return not made


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _read_every_way(path: Path) -> None:
    for read in (read_state, read_value, first_tensor, lambda path: read_state(path, ("state_dict", "model"))):
        with contextlib.suppress(WeightsFileError):
            read(path)


def test_the_payloads_run_when_they_are_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    quiet = []
    for name, call in payloads(canary).items():
        body = PROTOCOL + FORMS["reduce, names on the stack"](*call) + b"."
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            pickle.loads(body)
        if _gone(canary):
            quiet.append(name)
    assert not quiet


class _Careless(pickle.Unpickler):
    """Takes any persistent id, as a reader of tensors might."""

    def persistent_load(self, pid: object) -> object:
        return pid


@pytest.mark.parametrize("form", FORMS)
def test_every_form_runs_when_it_is_unpickled(form: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    calls = payloads(canary)
    # A class that acts when an instance is made, and a function of one argument.
    name = "memmap" if form.startswith("newobj") else "mkdir" if form == "setstate" else "FileIO"
    body = PROTOCOL + FORMS[form](*calls[name])
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        _Careless(io.BytesIO(body + b".")).load().close()
    assert not _gone(canary)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_nothing_of_a_file_runs(form: str, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each payload stands in every third container, and over all of them each container holds every third payload."""
    monkeypatch.chdir(tmp_path)
    canary = tmp_path / "canary"
    calls = payloads(canary)
    save_zip({}, tmp_path / "weights.pt")
    _read_every_way(tmp_path / "weights.pt")  # imports what reading itself needs
    modules, held = set(sys.modules), _names(tmp_path)
    count = 0
    for number, (name, (module, function, args)) in enumerate(calls.items()):
        if form in {"inst", "obj", "methodcaller"} and not all(isinstance(arg, str | int) for arg in args):
            continue
        if form != "reduce, names on the stack" and "." in function and form != "getattr":
            continue  # dotted names need protocol 4
        for place, (container, path) in enumerate(containers(FORMS[form](module, function, args), tmp_path)):
            if (place + number) % every:
                continue
            _read_every_way(path)
            assert _gone(canary), (form, name, container)
            count += 1
    assert count > 250 // every
    assert {name for name in set(sys.modules) - modules if not name.startswith("encodings.")} == set()
    assert _names(tmp_path) - held <= {"weights.pt"}


def test_tensors_beside_a_payload_are_read(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    body = FORMS["reduce"]("builtins", "open", (str(canary), "w"))
    path = next(path for name, path in containers(body, tmp_path) if name == "zip, beside tensors")
    assert torch.equal(read_state(path)["x"], torch.zeros(1))
    assert _gone(canary)


def test_a_registered_extension_is_not_called(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    copyreg.add_extension("builtins", "open", 241)
    try:
        arguments = pickle.dumps((str(canary), "w"), protocol=2)[2:-1]
        for code in (b"\x82\xf1", b"\x83\xf1\x00", b"\x84\xf1\x00\x00\x00"):
            pickle.loads(PROTOCOL + code + arguments + b"R.").close()
            assert not _gone(canary)
            for container, path in containers(code + arguments + b"R", tmp_path):
                _read_every_way(path)
                assert _gone(canary), container
    finally:
        copyreg.remove_extension("builtins", "open", 241)


@pytest.mark.parametrize(
    "target",
    [
        b"ccollections\nOrderedDict\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"cpytest_vidmetrics.networks.lazy_tensors\nconstruct\n",
        b"cpytest_vidmetrics.networks.pickles\nStub\n",
        b"ctorch\nTensor\n",
        b"}",
        b"]",
        b"K\x01",
    ],
)
def test_nothing_in_the_process_is_changed(target: bytes, tmp_path: Path) -> None:
    """State that is built onto a name would be set on the function or class itself."""
    state = b"}(X\x05\x00\x00\x00__x__K\x01X\x0c\x00\x00\x00__defaults__)u"
    slots = b"N" + state + b"\x86"
    before = dict(vars(torch._utils)), dict(vars(torch.Tensor))
    for built in (state, slots):
        for _, path in containers(target + built + b"b", tmp_path):
            _read_every_way(path)
    assert (dict(vars(torch._utils)), dict(vars(torch.Tensor))) == before
    assert not hasattr(torch._utils._rebuild_tensor_v2, "__x__")
    save_zip({"a": torch.ones(2)}, tmp_path / "good.pt")
    assert torch.equal(read_state(tmp_path / "good.pt")["a"], torch.ones(2))


def test_source_code_of_a_legacy_module_is_not_compared_or_patched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original reader writes a patch file into the working directory when a class asks for it."""
    monkeypatch.chdir(tmp_path)
    module = b"(X\x06\x00\x00\x00modulectorch.nn\nLinear\nX\x01\x00\x00\x00aX\x01\x00\x00\x00btQ"
    for _, path in containers(module, tmp_path):
        _read_every_way(path)
    assert _names(tmp_path) == {"weights.pt"}


DAMAGED = {
    "deep lists": b"]" * 20000 + b"a" * 19999,
    "deep tuples": b")" + b"\x85" * 50000,
    "tuples of the same tuples as a key": b"}" + b")" + b"2\x86" * 64 + b"Ns",
    "a set of tuples of the same tuples": b"(" + b")" + b"2\x86" * 64 + b"\x91",
    "a text longer than the file": b"X\xff\xff\xff\x7fabc",
    "a text of 2^62 bytes": b"\x8d" + b"\x00" * 7 + b"\x40" + b"abc",
    "a number of 2^31 bytes": b"\x8b\xff\xff\xff\x7f1",
    "a huge place in the memo": b"Nr\xff\xff\xff\xff",
    "nothing on the stack": b"R",
    "a mark and no more": b"(",
    "another stack than a list": b"K\x01K\x02a",
    "an unknown place in the memo": b"h\x07",
    "a list as a key": b"}]Ns",
    "a name of numbers": b"K\x01K\x02\x93",
    "buffers outside of the file": b"\x97",
    "decimal digits without end": b"I" + b"9" * 5000 + b"\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_pickles_that_no_program_writes_end_in_one_error(name: str, tmp_path: Path) -> None:
    for container, path in containers(DAMAGED[name], tmp_path):
        # Where tensors stand beside it, odd but whole values are passed over.
        with contextlib.suppress(WeightsFileError):
            found = read_state(path)
            assert (container, list(found)) == ("zip, beside tensors", ["x"])
