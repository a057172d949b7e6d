"""What it costs to judge a case of 10,000 to 1,000,000 rows from a store, with no clip opened.

    python benchmarks/scale.py [--rows N ...]

The rows are synthetic, the clips small files that no decoder could read. A local S3 server (moto) in a process of its
own holds a result for each in segments, and the digest index, as a cluster would have left them. One run of pytest
records the baseline, the next one judges; it is timed, with the most memory that it took.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.digest_index import DigestIndex
from pytest_vidmetrics.engine.object_store import ObjectStore
from pytest_vidmetrics.engine.planning import plan_unit
from pytest_vidmetrics.engine.work import Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry

METRIC = "vbench.temporal_flickering"
MANIFEST = """
schema = 1
[case.big]
samples = "rows.jsonl"
scoring = "engine"
metrics = ["{metric}"]
"""
SERVER = """
import logging, time
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").disabled = True
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
time.sleep(1e6)
"""
FACTS = {"video": ClipFacts(16, 832, 480, 16.0, 1.0)}


def write_rows(folder: Path, count: int) -> list[Path]:
    """Write small files that are no clips, and the rows and the manifest that name them."""
    clips = []
    with (folder / "rows.jsonl").open("w") as stream:
        for number in range(count):
            clip = folder / "clips" / f"{number // 1000:04d}" / f"{number:07d}.mp4"
            if not number % 1000:
                clip.parent.mkdir(parents=True)
            clip.write_bytes(b"%d" % number)
            clips.append(clip)
            stream.write(json.dumps({"id": f"clip-{number:07d}", "video": str(clip.relative_to(folder))}) + "\n")
    (folder / "big.vidmetrics.toml").write_text(MANIFEST.format(metric=METRIC))
    (folder / "pytest.ini").touch()
    time.sleep(2.1)  # younger files do not enter the digest index
    return clips


def fill(url: str, clips: list[Path]) -> None:
    """Store a score for every clip, and its digest."""
    store = ObjectStore(url, single=0)
    index = DigestIndex(store, trusted=False)
    worker = EvalWorker(store, compute=False, digest=index.digest)
    metric = registry.get_metric(METRIC)
    empty = ObjectStore("memory://")
    for number, clip in enumerate(clips):
        plan = plan_unit(Unit({"video": str(clip)}, [metric]), empty, worker.weights, index.digest)
        score = 90 + (number * 2654435761 % 1000) / 1000
        details = {"per_frame": [round(score + frame / 100, 3) for frame in range(15)]}
        assert plan.keys[0] is not None
        store.put_result(plan.keys[0], MetricResult(METRIC, score, details), FACTS)
    store.flush()
    index.flush()


def run(folder: Path, url: str, environment: Mapping[str, str], *options: str) -> tuple[float, float, float]:
    """Return the seconds by the clock and of the processor, and the GiB, of one run of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--vidmetrics=all"]
    code = f"import sys, resource, runpy; sys.argv[:] = {[*command[2:], f'--vidmetrics-store={url}', *options]!r}"
    code += "\nimport pytest; code = pytest.main(sys.argv[1:])"
    code += "\nused = resource.getrusage(resource.RUSAGE_SELF)"
    code += "\nprint('USED', used.ru_utime + used.ru_stime, used.ru_maxrss); sys.exit(code)"
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"pytest ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    work = next(line for line in done.stdout.splitlines() if line.startswith("work:"))
    if not work.startswith("work: 0 decoded, 0 computed"):
        sys.exit(f"clips were opened: {work}")
    processor, kib = done.stdout.rpartition("USED ")[2].split()
    return seconds, float(processor), int(kib) / 2**20


def measure(count: int, address: str) -> None:
    """Print a line of the curve."""
    environment: dict[str, Any] = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
    }
    environment.pop("CI", None)
    os.environ.update(environment)
    bucket = f"rows{count}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT"), timeout=60).close()
    url = f"s3://{bucket}/store"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        fill(url, write_rows(folder, count))
        filled = time.perf_counter() - started
        _, recorded, _ = run(folder, url, environment, "--update-baselines", "--vidmetrics-judge")
        seconds, processor, most = run(folder, url, environment, "--vidmetrics-judge", "--vidmetrics-verify-content=0")
        (baseline,) = (folder / "baselines").rglob("*.json")
        size = baseline.stat().st_size / 1e6
    print(
        f"{count:9,} rows: filled in {filled:.0f} s, recorded in {recorded:.1f} s of the processor, judged in "
        f"{processor:.1f} s of the processor ({seconds:.1f} s by the clock) with {most:.2f} GiB; "
        f"the baseline has {size:.3f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    args = parser.parse_args()
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        for count in args.rows:
            measure(count, address)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
