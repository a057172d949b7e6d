"""What GRiT costs: four dimensions from one look or one by one, its parts, texts and memory, and the work of a GPU.

``python -m benchmarks.grit [--full] [--frames 16] [--size 480 832] [--gpu]``: stand-in weights, three blocks and two
text layers unless ``--full``. One thread, seconds of the processor, networks loaded before. One by one, each dimension
looks at every frame itself, one frame at a time. ``--gpu`` counts launches, operations and waits of one clip on a
simulated device (``tests/support/fake_cuda.py``), for its frames, for the texts of 64 boxes and for the six pictures
that ``vbench.scene`` captions, all texts at their largest length. Nothing runs there:
seconds are those of a model that takes each kernel at the speed of its arithmetic or of its memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.vbench.objects import ObjectMetric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.grit.network import Grit
from tests.support import fake_networks, grit_weights
from tests.support.fake_cuda import simulated
from tests.support.oracle_fill import clip_uint8

FOUR = ("vbench.object_class", "vbench.multiple_objects", "vbench.color", "vbench.spatial_relationship")
PROMPT = {
    "text_prompt": "a white bird",
    "auxiliary_info": {
        "object_class": {"object": "bird"},
        "multiple_objects": {"object": "car and bird"},
        "color": "white",
        "spatial_relationship": {"object_a": "car", "object_b": "bird", "relationship": "on the left of"},
    },
}
BOXES = (8, 16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the network of full depth")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar=("H", "W"))
    parser.add_argument("--gpu", action="store_true", help="count the work of a simulated GPU instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as text:
        if args.gpu:
            on_a_gpu(Path(text), args.full, args.frames, *args.size)
            return
        state = grit_weights.full_state() if args.full else grit_weights.shallow_state()
        os.environ.update(grit_weights.write_weights(Path(text), state))
        clip = torch.from_numpy(clip_uint8(args.frames, *args.size, 1)).permute(0, 3, 1, 2)
        sharing(clip)
        parts(clip)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(f"peak memory of the process {peak:.1f} GiB")


def sharing(clip: torch.Tensor) -> None:
    """Print what four dimensions take together and one by one."""
    metrics = [registry.get_metric(name) for name in FOUR]
    metrics[0].setup()
    together = seconds(lambda: scored(metrics, clip))
    alone = sum(
        seconds(lambda name=name: scored([registry.get_metric(name, chunk_size=1)], clip))  # type: ignore[misc]
        for name in FOUR
    )
    each = f"{len(clip)} frames of {clip.shape[3]}x{clip.shape[2]}"
    say(f"four dimensions, {each}: together {together:.1f} s, one by one {alone:.1f} s, ratio {together / alone:.2f}")


def scored(metrics: list[Any], clip: torch.Tensor) -> None:
    for outcome in EvalWorker(MemoryStore()).fill({"video": clip, **PROMPT}, metrics):
        assert outcome.result is not None
        assert outcome.result.status in ("scored", "skipped"), outcome.result


def parts(clip: torch.Tensor) -> None:
    """Print what the look takes alone, the whole, and the texts by the number of boxes."""
    network = loaded()
    frame = clip[:1]
    with torch.inference_mode():
        look = seconds(lambda: network.look(frame))
        features = network.look(frame)[1]
        whole = seconds(lambda: network(frame))
        many = features.repeat(-(-max(BOXES) // max(1, len(features))), 1, 1) if len(features) else features
        texts = {count: seconds(lambda n=count: list(network._texts(many[:n], 32))) for count in BOXES}  # type: ignore[misc]
    count = len(features)
    each = texts[max(BOXES)] / max(BOXES)
    say(f"the whole takes {whole / (look + count * each):.2f} of its look plus {1000 * each:.0f} ms a box")
    say(f"one frame: backbone, proposals and heads {look:.2f} s, with the texts of {count} boxes {whole:.2f} s")
    shown = ", ".join(f"{count}: {taken:.2f} s ({1000 * taken / count:.0f} ms each)" for count, taken in texts.items())
    say(f"texts by the number of boxes: {shown}")


def loaded() -> Grit:
    metric = registry.get_metric(FOUR[0])
    metric.setup()
    assert isinstance(metric, ObjectMetric)
    return metric._network


def on_a_gpu(folder: Path, full: bool, count: int, height: int, width: int) -> None:
    """Print what a simulated GPU has to do for the frames of a clip, and for the texts of its boxes."""
    os.environ.update(fake_networks.files(folder))
    with fake_networks.without_weights(shallow=not full), simulated() as gauge:
        metric = registry.get_metric(FOUR[0]).to("cuda:0")
        metric.setup()
        network: Grit = metric._network  # type: ignore[attr-defined]
        frames = torch.empty((count, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2).to("cuda:0")
        memory = torch.empty((64, 196, 256), device="cuda:0")
        scene: Any = registry.get_metric("vbench.scene").to("cuda:0")
        scene.setup()
        pictures = torch.empty((6, 384, 384, 3), dtype=torch.uint8).permute(0, 3, 1, 2).to("cuda:0")
        works: list[tuple[str, Callable[[], Any]]] = [
            (f"frames of {count} x {width}x{height}", lambda: [network.look(part) for part in frames.split(16)]),
            ("labels and captions of 64 boxes", lambda: list(network._texts(memory, 256))),
            ("captions of 6 pictures for vbench.scene", lambda: scene._describe(pictures)),
        ]
        for name, work in works:
            gauge.zero()
            gauge.peaks = True
            with torch.inference_mode():
                work()
            operations = sum(gauge.time.operations.values()) / 1e12
            say(
                f"{name}: {gauge.launches} launches, {operations:.2f} TFLOP, {gauge.blocking} waits, "
                f"{gauge.peak / 2**30:.1f} GiB, modelled {gauge.time.seconds['tf32']:.3f} s in tf32"
            )


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of a piece of work that finds nothing done."""
    shared.forwards.clear()
    started = time.process_time()
    work()
    return time.process_time() - started


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
