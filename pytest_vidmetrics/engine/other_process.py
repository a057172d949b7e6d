"""Scoring in a process of its own: libraries, kernels and weights are loaded anew, as in tomorrow's run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import printable
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.work import Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.networks import shared

_MAIN = "import sys; from pytest_vidmetrics.engine.other_process import main; main(sys.argv[1])"
_TASK, _FAULTS, _STORE = "task.json", "faults.json", "store"


def score_in_another(metric: BaseMetric, corpus: Corpus, worker: EvalWorker) -> CorpusScore:
    """Return the score that a new process gives a corpus. Nothing is read from or kept in this run's store.

    This process unloads its networks first: two copies of one might not fit. Raises
    :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for a sample that fails there, and when the process ends
    otherwise than it should.
    """
    own = corpus.of(metric.name)
    with tempfile.TemporaryDirectory(prefix="vidmetrics-") as text:
        folder = Path(text)
        task = {
            "metric": metric.name,
            "params": {**metric.params(), **_own_files(metric)},
            "device": worker.device,
            "precision": worker.precision,
            "samples": [[one.id, dict(one.values)] for one in own.samples],
        }
        try:
            (folder / _TASK).write_text(json.dumps(task), "utf-8")
        except TypeError as error:
            raise VidmetricsError(f"another process cannot score these samples: {error}") from error
        worker.unload()
        shared.clear()
        _run(folder)
        if faults := json.loads((folder / _FAULTS).read_text("utf-8")):
            raise VidmetricsError(f"{faults[0][0]}: {faults[0][1]}")
        reader = worker.sibling(FileStore(folder / _STORE))
        # What the other process could not store is not computed here.
        reader.compute = False
        return score_corpus(metric, own, reader)


def _own_files(metric: BaseMetric) -> dict[str, Any]:
    """Return the argument that names local files, which are no part of the parameters that identify a score."""
    given = metric.local_weights or getattr(metric, "weights", None)
    return {"weights": given} if given else {}


def _run(folder: Path) -> None:
    # The modules of this process are found there too, whatever its current folder (`-P`).
    places = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-P", "-c", _MAIN, str(folder)],
        env={**os.environ, "PYTHONPATH": places},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise VidmetricsError(f"the process that scored again ended with {done.returncode}: {printable(last)}")


def main(folder: str) -> None:
    """Score what the task in a folder names, into a store there, and write down which samples failed."""
    place = Path(folder)
    task: dict[str, Any] = json.loads((place / _TASK).read_text("utf-8"))
    metric = registry.get_metric(task["metric"], **task["params"]).run_in(task["precision"], task["device"])
    worker = EvalWorker(FileStore(place / _STORE), task["device"], precision=task["precision"])
    samples = [Sample(id, values) for id, values in task["samples"]]
    units = [Unit(sample.values, (metric,)) for sample in samples]
    found = zip(samples, worker.stream(units), strict=True)
    faults = [[one.id, outcome.result.reason] for one, (outcome,) in found if not outcome.lasting and outcome.result]
    (place / _FAULTS).write_text(json.dumps(faults), "utf-8")
