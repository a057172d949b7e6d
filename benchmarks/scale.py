"""What it costs to judge a case of 10,000 to 1,000,000 rows from a store, with no clip opened.

    python benchmarks/scale.py [--rows N ...] [--keep FOLDER]

The rows are synthetic, the clips small files that no decoder could read, 1,000 in a folder. A local S3 server (moto) in
a process of its own holds a result for each in segments, and the digest index, as a cluster would have left them. One
run of pytest records the baseline, the next one judges; both are timed, with the most memory that they took. The
manifest is named on the command line: pytest walks through a folder that is named, clips and all.

With ``--keep`` the clips and the store stay in a folder, and a later run with the same folder takes them from there.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.hashing import canonical_json
from pytest_vidmetrics.engine.digest_index import name_of
from pytest_vidmetrics.engine.identity import KeyMaker, weights_of
from pytest_vidmetrics.engine.object_store import ObjectStore
from pytest_vidmetrics.engine.store import seal_of
from pytest_vidmetrics.metrics import registry

METRIC = "vbench.temporal_flickering"
MANIFEST = "big.vidmetrics.toml"
TEXT = """
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
SEGMENT = 10_000
FACTS = {"video": ClipFacts(16, 832, 480, 16.0, 1.0)}


def write_rows(folder: Path, count: int) -> None:
    """Write small files that are no clips, and the rows and the manifest that name them."""
    with (folder / "rows.jsonl").open("w") as stream:
        for number in range(count):
            if not number % 1000:
                (folder / "clips" / f"{number // 1000:04d}").mkdir(parents=True)
            clip = clip_of(number)
            (folder / clip).write_bytes(b"%d" % number)
            stream.write(json.dumps({"id": f"clip-{number:07d}", "video": clip}) + "\n")
    (folder / MANIFEST).write_text(TEXT.format(metric=METRIC))
    (folder / "pytest.ini").touch()
    time.sleep(2.1)  # younger files do not enter the digest index


def clip_of(number: int) -> str:
    return f"clips/{number // 1000:04d}/{number:07d}.mp4"


def fill(url: str, folder: Path, count: int) -> None:
    """Store a score for every clip, and its digest, as scorers do; in bulk, and what clips hold is not read."""
    store, records = ObjectStore(url), []
    metric = registry.get_metric(METRIC)
    keys = KeyMaker(metric, weights_of(metric))
    clips = canonical_json({key: facts.to_wire() for key, facts in FACTS.items()})
    for first in range(0, count, SEGMENT):
        entries = {}
        for number in range(first, min(first + SEGMENT, count)):
            name, sha = name_of(str(folder / clip_of(number))), hashlib.sha256(b"%d" % number)
            assert name is not None
            records.append(name + sha.digest())
            key = keys.key([f'"video":{{"sha256":"{sha.hexdigest()}"}}'])
            body = f'{{"clips":{clips},{scored(number * 2654435761 % 1000)}'
            entries[f"results/{key}.json"] = (
                f'{{"body":{body},"sha256":"{seal_of("results", key, body.encode())}"}}'.encode()
            )
        store.put_segment(entries)
    store.put_part("digests", b"".join(sorted(records)))


@functools.cache
def scored(number: int) -> str:
    """Return what an entry says of one of a thousand scores."""
    score = 90 + number / 1000
    details = {"per_frame": [round(score + frame / 100, 3) for frame in range(15)]}
    return canonical_json({"details": details, "name": METRIC, "score": score, "status": "scored"})[1:]


def set_up(url: str, folder: Path, count: int) -> None:
    """Make clips, rows and store, or take them from a folder that keeps them beside a copy of the store."""
    from obstore import store

    objects, kept = store.from_url(url), folder / "objects"
    if kept.is_dir():
        for path in filter(Path.is_file, kept.rglob("*")):
            objects.put(str(path.relative_to(kept)), path.read_bytes())
        return
    shutil.rmtree(folder / "clips", ignore_errors=True)
    write_rows(folder, count)
    fill(url, folder, count)
    copied = folder / "copied"
    shutil.rmtree(copied, ignore_errors=True)
    for name in [meta["path"] for batch in objects.list() for meta in batch]:
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_bytes(bytes(objects.get(name).bytes()))
    copied.rename(kept)


def run(folder: Path, url: str, environment: Mapping[str, str], *options: str) -> tuple[float, float, float]:
    """Return the seconds by the clock and of the processor, and the GiB, of one run of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--vidmetrics=all", MANIFEST]
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


def measure(count: int, address: str, folder: Path) -> None:
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
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    set_up(url, folder, count)
    filled = time.perf_counter() - started
    shutil.rmtree(folder / "baselines", ignore_errors=True)
    _, recorded, held = run(folder, url, environment, "--update-baselines", "--vidmetrics-judge")
    seconds, processor, most = run(folder, url, environment, "--vidmetrics-judge", "--vidmetrics-verify-content=0")
    (baseline,) = (folder / "baselines").rglob("*.json")
    size = baseline.stat().st_size / 1e6
    print(
        f"{count:9,} rows: filled in {filled:.0f} s, "
        f"recorded in {recorded:.1f} s of the processor with {held:.2f} GiB, "
        f"judged in {processor:.1f} s of the processor ({seconds:.1f} s by the clock) with {most:.2f} GiB; "
        f"the baseline has {size:.3f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--keep", type=Path, help="where clips and stores stay for the next time")
    args = parser.parse_args()
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as name:
            for count in args.rows:
                measure(count, address, (args.keep or Path(name)).resolve() / f"rows{count}")
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
