"""Arrays of numbers in files, such as the latents of a generator: read without running anything."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.wording import shown

SUFFIXES = (".npy", ".npz", ".safetensors")


def read_numbers(path: str | Path, key: str | None = None) -> np.ndarray:
    """Return the float64 array of a file, of the shape that it has there.

    ``key`` names one of several arrays of an ``.npz`` or ``.safetensors`` file; without it the file holds one.
    Raises :class:`~pytest_vidmetrics.core.errors.MediaError`, which names the file, for what is not an array of
    finite real numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    try:
        array = _safetensors(path, key) if path.suffix == ".safetensors" else _numpy(path, key)
    except MediaError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise MediaError(f"{path}: not a file of {', '.join(SUFFIXES)} that can be read ({error})") from error
    if array.dtype.kind not in "fiub":
        raise MediaError(f"{path}: the array is {array.dtype}: expected real numbers")
    exact = array.astype(np.float64)
    if not exact.size or not np.isfinite(exact).all():
        raise MediaError(f"{path}: the array of shape {array.shape} is empty or holds NaN or infinities")
    return exact


def _numpy(path: Path, key: str | None) -> np.ndarray:
    with path.open("rb") as stream:
        found = np.load(stream, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            return np.asarray(found)
        with found:
            return np.asarray(found[_chosen(path, found.files, key)])


def _safetensors(path: Path, key: str | None) -> np.ndarray:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as found:
            tensor = found.get_tensor(_chosen(path, list(found.keys()), key))
    except SafetensorError as error:
        raise MediaError(f"{path}: not a safetensors file that can be read ({error})") from error
    return np.asarray((tensor.to(torch.float64) if tensor.is_floating_point() else tensor).numpy())


def _chosen(path: Path, names: list[str], key: str | None) -> str:
    if key is None and len(names) == 1:
        return names[0]
    if key is None or key not in names:
        wanted = "one array, or its name as the parameter key" if key is None else f"an array called {shown(key)}"
        raise MediaError(f"{path}: expected {wanted}; it holds {', '.join(map(shown, names[:5])) or 'nothing'}")
    return key
