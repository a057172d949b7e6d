"""One precision a process: set while something is computed, put back, recorded, and in an identity that it moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import pytest
import torch

from benchmarks.precision import measured
from pytest_vidmetrics.core.precision import in_effect
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.devices import described
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.identity import identity_of
from pytest_vidmetrics.engine.precision import applied
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.declared import Network
from tests.support.fake_cuda import simulated


def switches() -> tuple[Any, ...]:
    matmul, conv, host = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul
    newer = matmul.fp32_precision, conv.fp32_precision, host.fp32_precision
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled, *newer


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    newer = torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
    torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision = newer


def _fail_inside(device: str) -> None:
    with applied("fp32", device):
        raise ZeroDivisionError


class Seen(BaseMetric):
    """Notes what is set while it computes."""

    name: ClassVar[str] = "fake.seen"
    requires_reference: ClassVar[bool] = False
    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        self.seen = switches()
        return MetricResult(self.name, 1.0)


def test_the_default_follows_the_device_and_only_gpus_know_tf32() -> None:
    assert [in_effect(None, device) for device in ("cpu", "cuda:0")] == ["fp32", "tf32"]
    assert [in_effect("tf32", device) for device in ("cpu", "cuda:0")] == ["fp32", "tf32"]
    assert [in_effect(asked, "cuda:0") for asked in ("fp32", "bf16")] == ["fp32", "bf16"]


@pytest.mark.parametrize("matmul", ["highest", "high", "medium"])
@pytest.mark.parametrize("conv", [True, False])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_a_program_set_is_not_used_and_comes_back(matmul: str, conv: bool, device: str) -> None:
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = conv
    before, on_gpu = switches(), device == "cuda:0"
    with applied("tf32", device), applied("bf16", device):
        assert switches()[:3] == ("high" if on_gpu else "highest", on_gpu, True)
    assert switches() == before
    with applied("fp32", device):
        assert switches()[:3] == ("highest", False, True)
    assert switches() == before
    with pytest.raises(ZeroDivisionError):
        _fail_inside(device)
    assert switches() == before


def test_a_worker_sets_it_for_the_metric_alone() -> None:
    torch.set_float32_matmul_precision("medium")
    before, metric = switches(), Seen()
    video = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    worker = EvalWorker(MemoryStore(), "cpu")
    assert [one.result and one.result.score for one in worker.fill({"video": video}, [metric])] == [1.0]
    assert (worker.precision, metric.seen[0]) == ("fp32", "highest")
    with simulated():
        assert EvalWorker(MemoryStore(), "cuda:0").fill({"video": torch.zeros(2, 3, 8, 8)}, [metric])
        assert metric.seen[:3] == ("high", True, True)
        assert EvalWorker(MemoryStore(), "cuda:0", precision="fp32").fill({"video": torch.zeros(2, 3, 8, 8)}, [metric])
        assert metric.seen[:3] == ("highest", False, True)
    assert switches() == before


def test_threads_share_a_precision_or_wait() -> None:
    seen: list[str] = []

    def other() -> None:
        with applied("tf32", "cuda:0"):
            seen.append(torch.get_float32_matmul_precision())

    thread = threading.Thread(target=other)
    with applied("fp32", "cuda:0"):
        thread.start()
        with pytest.raises(RuntimeError, match="cannot compute in tf32 while it computes in fp32"):
            applied("tf32", "cuda:0").__enter__()
        assert (seen, torch.get_float32_matmul_precision()) == ([], "highest")
    thread.join()
    assert seen == ["high"]


class Halved(BaseMetric):
    name: ClassVar[str] = "fake.halved"
    noise_floor: ClassVar[float] = 1e-3

    _network: Network[Any] = Network("fake-transformer", ":none", bf16=True)

    def weights_files(self) -> tuple[Any, ...]:
        return ()


class Measured(Halved):
    bf16_change: ClassVar[float | None] = 1e-4


class Loose(Halved):
    bf16_change: ClassVar[float | None] = 1e-2


def test_bfloat16_is_another_metric_where_it_moves_more_than_noise() -> None:
    found = {}
    for cls in (Halved, Measured, Loose, Seen):
        for precision in (None, "fp32", "tf32", "bf16"):
            metric = cls().run_in(precision, "cpu")  # type: ignore[arg-type]
            found[cls, precision] = metric.identity().get("precision")
    assert {key for key, value in found.items() if value} == {(Halved, "bf16"), (Loose, "bf16")}
    declared = [registry.get_metric(name) for name in registry.expand(["vbench"])]
    unmeasured = {metric.name for metric in declared if "precision" in metric.run_in("bf16", "cpu").identity()}
    assert unmeasured == {"vbench.human_action", "vbench.appearance_style"}


def test_tf32_is_another_metric_where_it_moves_more_than_noise_or_nobody_measured() -> None:
    """Of one precision on every device: the key of results that a CPU left, and a baseline's, stay what they were."""
    moved = set()
    for metric in (registry.metric_class(name)() for name in registry.list_metrics()):
        plain = identity_of(metric)
        assert identity_of(metric.run_in(None, "cpu")) == identity_of(metric.run_in("fp32", "cuda:0")) == plain
        with_tf32 = identity_of(metric.run_in(None, "cuda:0"))
        assert with_tf32 == identity_of(metric.run_in("tf32", "cuda:0"))
        if with_tf32 != plain:
            assert with_tf32 == {**plain, "precision": "tf32"}
            moved.add(metric.name)
    sets = {name for name in registry.list_metrics() if registry.metric_class(name).is_set_metric}
    beyond = {"common.lpips", "audio.clap_score", "audio.kl_divergence"}
    unmeasured = {
        "audio.desync",
        "audio.wer",
        "common.cvvdp",
        "optical_flow.gt_optical_flow",
        "optical_flow.synthetic_optical_flow",
        "vbench.appearance_style",
        "vbench.human_action",
    }
    assert moved == sets | beyond | unmeasured


@pytest.mark.parametrize(
    "only", ["lpips alex", *(pytest.param(word, marks=pytest.mark.slow) for word in ("common.", "audio."))]
)
def test_what_is_declared_is_what_was_measured(only: str) -> None:
    found = list(measured(only))
    assert found
    for one in found:
        assert one.metric.is_moved_by_tf32() == (one.usual > one.metric.noise_floor), one
        if one.metric.tf32_change is not None:
            assert one.usual == pytest.approx(one.metric.tf32_change, rel=0.8)


def test_a_network_that_says_so_multiplies_in_bfloat16_and_gives_floats() -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    metric = Measured()
    metric._network = lambda pixels: pixels @ weight
    pixels = torch.randn(4, 64, generator=torch.Generator().manual_seed(2))
    exact = metric._network(pixels)
    metric.run_precision = "bf16"
    rounded = metric._network(pixels)
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, (pixels.bfloat16() @ weight.bfloat16()).float())
    assert not torch.equal(rounded, exact)


def test_what_an_evaluator_takes_and_says() -> None:
    with pytest.raises(ValueError, match="precision"):
        Evaluator("common.psnr", "cpu", precision="half")  # type: ignore[arg-type]
    with Evaluator("common.psnr", "cpu", precision="bf16") as evaluator:
        assert evaluator.provenance()["precision"] == ["bf16"]
    with Evaluator("common.psnr", "cpu") as evaluator:
        assert evaluator.provenance()["precision"] == ["fp32"]


def test_a_record_names_the_card_not_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert described("cuda:3", "tf32") == "NVIDIA H100 80GB HBM3 (capability 9.0) tf32"
    assert described("cpu", "fp32") == "cpu fp32"


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    shared.clear()
