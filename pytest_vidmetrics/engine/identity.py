"""What makes two scores the same measurement: the metric, its code, its weights, the decoder, the content it reads."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.hashing import canonical_json, digest_file, digest_json
from pytest_vidmetrics.core.types import PATH_KEYS, Video
from pytest_vidmetrics.core.weights import weights_sha256
from pytest_vidmetrics.engine.inputs import is_array, is_tensor
from pytest_vidmetrics.engine.values import CLIP_KEYS, rate_key
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric

_PACKAGE = "pytest_vidmetrics"
_INPUTS = '"inputs":{}'


Digest = Callable[[str | os.PathLike[str]], str]
"""Returns the sha256 of a file's bytes, or of a folder's names and bytes."""


class UnkeyedError(Exception):
    """A sample value that has no content hash: results that depend on it cannot be kept."""


def identity_of(metric: BaseMetric) -> dict[str, Any]:
    """Return name, version, parameters, the precision where it counts, and what the code of others than ours is."""
    return {**metric.identity(), **metric.rounding(), **_code_field(type(metric))}


def full_identity(metric: BaseMetric) -> dict[str, Any]:
    """Return what two comparable scores have in common: the identity, the weights and the decoder."""
    from pytest_vidmetrics.media.recipe import RECIPE_ID

    try:
        weights = weights_of(metric)
    # A score has an identity where its weights are not at hand too: it says that they are missing.
    except UnavailableError:
        weights = {}
    return {**identity_of(metric), "weights": weights, "decoder": RECIPE_ID}


def key_of(metric: BaseMetric, weights: Mapping[str, str], contents: Mapping[str, Any]) -> str:
    """Return the key under which a metric's result, or its feature rows, on one sample is stored.

    ``contents`` holds the :func:`content` of the sample values that the metric reads. Raises :class:`UnkeyedError`
    for parameters that JSON has no form for.
    """
    try:
        return digest_json(_keyed(metric, weights, contents))
    except (TypeError, ValueError) as error:
        raise UnkeyedError(str(error)) from error


def _keyed(metric: BaseMetric, weights: Mapping[str, str], contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a result depends on. In canonical JSON the decoder comes first, then the inputs."""
    from pytest_vidmetrics.media.recipe import DECODER_ID

    own = metric.feature_identity() if isinstance(metric, SetMetric) else metric.identity()
    identity = {**own, **_code_field(type(metric))}
    return {"metric": identity, "weights": dict(weights), "decoder": DECODER_ID, "inputs": dict(contents)}


class KeyMaker:
    """Makes the keys of :func:`key_of` for many samples: what they have in common is spelled and hashed once."""

    def __init__(self, metric: BaseMetric, weights: Mapping[str, str]) -> None:
        head, _, tail = canonical_json(_keyed(metric, weights, {})).partition(_INPUTS)
        self._begun = hashlib.sha256(_utf8(head + _INPUTS[:-2]))
        self._tail = tail

    def key(self, inputs: Sequence[str]) -> str:
        """Return the key for the inputs, in the order of their names, each as in canonical JSON: ``"name":content``."""
        sha = self._begun.copy()
        sha.update(_utf8(f"{{{','.join(inputs)}}}{self._tail}"))
        return sha.hexdigest()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def weights_of(metric: BaseMetric) -> dict[str, str]:
    """Return ``{name: sha256}`` of everything a metric loads.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` when a file that is not pinned is missing.
    """
    return {one.name: weights_sha256(one) for one in metric.weights_files()}


def keys_read(metric: BaseMetric) -> tuple[str, ...]:
    """Return the sample keys that a metric's work on one clip depends on, in a fixed order.

    The rate of a clip counts with the clip: it is the file's own unless the sample gives another.
    """
    # A set metric reads one clip at a time: its reference is a clip of its own.
    declared = metric.requires if metric.is_set_metric else (*metric.required_keys(), *metric.reads)
    return tuple(sorted({*declared, *(rate_key(key) for key in declared if key in CLIP_KEYS)}))


def content(key: str, value: Any, digest: Digest = digest_file) -> Any:
    """Return the JSON value that stands for what a sample value holds: never a name, a path or a time.

    Files and folders count by their bytes, as ``digest`` hashes them, tensors and arrays by their bytes, shape and
    type. Raises ``OSError`` for a file that cannot be read and :class:`UnkeyedError` for a value that is none of these
    and no JSON value.
    """
    if isinstance(value, Video):
        return _video_content(value, digest)
    if (isinstance(value, str) and key in PATH_KEYS) or isinstance(value, os.PathLike):
        return {"sha256": digest(value)}
    if is_tensor(value):
        return {"tensor": tensor_digest(value)}
    if is_array(value):
        return {"array": _digest(repr((value.shape, str(value.dtype))), value.tobytes())}
    if isinstance(value, Mapping):
        return {str(name): content("", one, digest) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [content("", one, digest) for one in value]
    try:
        canonical_json(value)
    except (TypeError, ValueError) as error:
        raise UnkeyedError(f"{key} is a {type(value).__name__}, which has no content hash") from error
    return value


def _video_content(video: Video, digest: Digest) -> dict[str, Any]:
    if video.frames is not None:
        found: dict[str, Any] = {"tensor": tensor_digest(video.frames)}
    elif video.source is not None:
        found = {"sha256": digest(video.source)}
    else:
        found = {}
    if video.fps is not None:
        found["fps"] = video.fps
    if video.audio is not None:
        found["audio"] = [content("", video.audio), video.audio_sr]
    return found


def tensor_digest(tensor: Any) -> str:
    """Return the sha256 of a tensor's values, shape and type, wherever it lies and however it is strided."""
    import torch

    sha = hashlib.sha256(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
    # A number has no axis to go along.
    parts = tensor.detach() if tensor.ndim else tensor.detach()[None]
    for part in parts:  # a clip frame by frame: a copy to the host, or into another layout, stays small
        sha.update(part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _digest(head: str, data: bytes) -> str:
    return hashlib.sha256(head.encode() + data).hexdigest()


def _code_field(cls: type) -> dict[str, Any]:
    code = _code_of(cls)
    return {"code": code} if code else {}


@functools.cache
def _code_of(cls: type) -> dict[str, Any]:
    """Return a digest of the modules that define a class outside of this package, and their distributions' versions.

    A version that its author forgot to raise then does not make an old score pass as one of the new code.
    """
    # Its bases too: a change in a module that they come from changes the score.
    outside = [one for one in cls.__mro__ if one.__module__.partition(".")[0] not in (_PACKAGE, "builtins", "abc")]
    if not outside:
        return {}
    tops = sorted({one.__module__.partition(".")[0] for one in outside})
    versions = {top: version for top in tops if (version := _version(top)) is not None}
    return {"sha256": digest_json(sorted({_source_digest(one) for one in outside})), "versions": versions}


def _source_digest(cls: type) -> str:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    try:
        source = Path(file or "").read_bytes()
    except OSError:
        return uuid.uuid4().hex  # typed into a session: never the same code as that of another one
    # Line ends of one source differ between checkouts.
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()


@functools.cache
def _version(top: str) -> str | None:
    """Return the version of the first distribution that says it has a module, or whose files lie beside it and do.

    What :func:`importlib.metadata.packages_distributions` says, which reads the list of files of all that is installed.
    """
    file = getattr(sys.modules.get(top), "__file__", None)
    beside = None if file is None else Path(file).parents[Path(file).stem == "__init__"]
    for one in importlib.metadata.distributions():
        declared = (one.read_text("top_level.txt") or "").split()
        if not declared and (file is None or Path(str(one.locate_file(""))) == beside):
            declared = [path.parts[0].partition(".")[0] for path in one.files or () if path.suffix == ".py"]
        if top in declared:
            return one.version
    return None
