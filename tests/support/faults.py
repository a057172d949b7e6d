"""What the rows of the fault table share: a metric with a fault in it, and what has to hold after each fault."""

from __future__ import annotations

from pytest_vidmetrics.engine.store import FileStore
from tests.plugin.conftest import MANIFEST, Bench, verdicts

LISTED = '"common.psnr", "vbench.temporal_flickering"'
CONTRAST = 'round(float(sample["video"].double().std()), 6)'
# A third-party metric that does something else to the clip "b" as long as the file "fault" exists.
METRIC = """
import os, pathlib, signal, time
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

def die():
    pathlib.Path("fault").unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGKILL)

def faulty():
    return pathlib.Path("fault").exists()

WORKER = "PYTEST_XDIST_WORKER" in os.environ

class Probe(BaseMetric):
    requires_reference = False
    higher_is_better = False  # the contrast: noise raises it
    {declarations}

    def setup(self):
        {setup}

    def compute(self, sample):
        name = pathlib.Path(sample["video_path"]).stem
        if name == "b" and faulty():
            {compute}
        return MetricResult(self.name, float({result}))

def pytest_vidmetrics_register_metrics(registry):
    Probe.__qualname__ = "{name}"
    registry.register("probe.{name}")(Probe)

{module}
"""


def faulty_metric(
    bench: Bench,
    name: str,
    *,
    declarations: str = "pass",
    setup: str = "pass",
    compute: str = "pass",
    result: str = CONTRAST,
    module: str = "",
) -> str:
    """Register ``probe.NAME``, record its baseline, and arm its fault. Returns the gate's name."""
    text = METRIC.format(
        name=name, declarations=declarations, setup=setup, compute=compute, result=result, module=module
    )
    bench.pytester.makeconftest(text)
    bench.manifest(MANIFEST.replace(LISTED, f'"probe.{name}"'))
    bench.run("--update-baselines").assert_outcomes(passed=5)
    (bench.root / "fault").touch()
    return f"probe.{name}"


def contents(bench: Bench) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (bench.root / "baselines").rglob("*") if path.is_file()}


def assert_store_is_sound(bench: Bench, cache: str = "fresh") -> None:
    """Every entry that has its final name holds what its checksum says."""
    root = bench.root / cache / "store"
    store = FileStore(root)
    for path in root.glob("results/*/*.json"):
        assert store.get_result(path.stem) is not None, path
    for path in root.glob("features/*/*.safetensors"):
        assert store.get_rows(path.stem) is not None, path


def assert_recovers(bench: Bench, gates: set[str], before: dict[str, bytes], cache: str = "fresh") -> None:
    """The next run, with nothing but the fault gone, is green and compares with the old baselines."""
    result = bench.run(f"--vidmetrics-cache={cache}")
    assert result.ret == 0
    assert verdicts(result) == dict.fromkeys(gates, "PASS")
    assert contents(bench) == before
