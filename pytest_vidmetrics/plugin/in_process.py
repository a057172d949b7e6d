"""``vidmetrics_generate(method, fn)``: clips that a test function makes, under the keys and in the store of methods."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import counted, printable
from pytest_vidmetrics.gates.generation import Generations
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.gates.method import IN_PROCESS, Request
from pytest_vidmetrics.gates.method_case import MethodClips
from pytest_vidmetrics.plugin.session import generations_of
from pytest_vidmetrics.plugin.settings import SETTINGS

Make = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class InProcess:
    """What the fixture returns."""

    item: pytest.Item

    def __call__(self, method: str, fn: Make) -> list[Path]:
        """Make the clips of a method that are not there, and return the paths of all, in the order of the requests.

        ``method`` is ``"MANIFEST::CASE::METHOD"``, the manifest relative to the test file; the method says
        ``generate = "in-process"``. ``fn`` gets one request as in ``requests.jsonl`` (``id``, ``prompt``, ``image``,
        ``seed``, ``params``, ``output``) and returns the path of a clip with the method's suffix, or frames, which are
        written without loss where the suffix is ``.mkv``: ``(T, H, W, 3)``, ``uint8``, or floating point in [0, 1] or
        [-1, 1], of numpy or torch. It is called only for clips that are missing, and only with
        ``--vidmetrics-generate``. Fails, when all were tried, with those that could not be made.
        """
        try:
            clips = self._clips(method)
            if self.item.config.stash[SETTINGS].generate:
                make = functools.partial(_write, clips, fn)
                clips.generations.ensure_by(clips.method, clips.requests, make)
            lost = clips.lost()
        except VidmetricsError as error:
            pytest.fail(printable(str(error)), pytrace=False)
        if lost:
            head = f"{counted(len(lost), 'clip')} of {len(clips.requests)} were not generated"
            text = "\n".join([head, *(f"{id}: {why}" for id, why in list(lost.items())[:12])])
            pytest.fail(printable(text), pytrace=False)
        return [clips.generations.path(one) for one in clips.requests]

    def _clips(self, name: str) -> MethodClips:
        manifest, _, rest = name.partition("::")
        case_name, _, method_name = rest.partition("::")
        found = load_manifest(self.item.path.parent / manifest)
        case = next((one for one in found.cases if one.name == case_name), None)
        if case is None or method_name not in case.methods:
            known = [f"{one.name}::{method}" for one in found.cases for method in one.methods]
            raise VidmetricsError(
                f"{name!r} names no method: expected MANIFEST::CASE::METHOD; "
                f"{manifest} has {', '.join(known) or 'none'}"
            )
        method = case.methods[method_name]
        if not method.in_process:
            raise VidmetricsError(f'{name}: a method that a test function makes says generate = "{IN_PROCESS}"')
        config = self.item.config
        checkpoint = config.stash[SETTINGS].checkpoint
        store: Generations = generations_of(config)
        return MethodClips.of(case, method, resolve_samples(case, checkpoint), store, checkpoint)


def _write(clips: MethodClips, fn: Make, request: Request, path: Path) -> None:
    """Put what ``fn`` makes at ``path``. Raises what it raises, and ``VidmetricsError`` for what is not a clip."""
    made = fn(request.row(clips.method.params, path.parent))
    if isinstance(made, str | os.PathLike):
        source = Path(made)
        if source.suffix != path.suffix:
            raise VidmetricsError(f"the function returned {source.name}, the method says suffix = {path.suffix!r}")
        if source != path:
            shutil.copyfile(source, path)
        return
    if path.suffix != ".mkv":
        raise VidmetricsError(
            f"the function returned frames, which are written without loss: say suffix = '.mkv' in the method "
            f"{clips.method.name}, or return the path of a {path.suffix} file"
        )
    import numpy as np

    from pytest_vidmetrics.media.arrays import frames_of
    from pytest_vidmetrics.media.lossless import write_lossless

    rate = clips.method.params.get("fps")
    if rate is None:
        raise VidmetricsError(f"frames have no rate: say fps in the params of the method {clips.method.name}")
    array = made.detach().cpu().numpy() if hasattr(made, "detach") else np.asarray(made)
    write_lossless(path, frames_of(array, str(request.sample)), float(rate))
