"""Operations in one pass: each is one graph, writes what it writes alone, and is counted as it reads and writes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from pytest_vidmetrics.networks import blocks, instance_norm, musiq, one_pass
from pytest_vidmetrics.networks.amt import blocks as amt_blocks
from pytest_vidmetrics.networks.amt import network as amt
from pytest_vidmetrics.networks.flow import correlation, encoder, raft, update
from pytest_vidmetrics.networks.one_pass import Convolution, OnePass
from tests.support.fake_cuda import simulated

WIDTH = 6


def rows(seed: int, count: int = 20, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def maps(seed: int) -> torch.Tensor:
    made = torch.randn(2, WIDTH, 5, 7, generator=torch.Generator().manual_seed(seed))
    return made.contiguous(memory_format=torch.channels_last)


def measured(seed: int) -> tuple[torch.Tensor, ...]:
    return instance_norm.measured(maps(seed))


def windows() -> tuple[Any, ...]:
    maps = torch.randn(320, 1, 8, 10, generator=torch.Generator().manual_seed(0))
    flat = 15 * torch.rand(320, 1, 1, 2, generator=torch.Generator().manual_seed(2))
    return maps, *correlation._grid_tables(flat, 1, maps, 4), flat, torch.zeros(320, 200)[:, 81:162]


def images(seed: int, channels: int, height: int = 12, width: int = 16) -> torch.Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def affine(seed: int) -> tuple[torch.Tensor, ...]:
    return musiq._measured(maps(seed).contiguous(), torch.nn.GroupNorm(3, WIDTH).requires_grad_(False))


def decoder_inputs() -> tuple[Any, ...]:
    ends, small = [images(i, 3) for i in range(2)], [images(2, 3, 6, 8), images(3, 4), images(4, 4, 6, 8)]
    return images(5, 3), *small, *ends, *amt_blocks.lattice(ends[0])


def ends_and_flows() -> tuple[Any, ...]:
    ends = [images(i, 3) for i in range(2)]
    return *ends, images(2, 24), images(3, 4, 6, 8), *amt_blocks.lattice(ends[0])


ALL: dict[str, tuple[OnePass[..., Any], Any]] = {
    "centred": (raft._centred, lambda: (maps(0),)),
    "mean": (raft._mean, lambda: (rows(0).view(1, 1, 3, 4, 5, 2), rows(1, 20, 3).view(1, 2, 3, 1, 5, 2))),
    "normalised": (instance_norm.normalised, lambda: measured(0)),
    "joined": (encoder._joined, lambda: (maps(0), maps(1))),
    "joined normalised": (instance_norm.joined_normalised, lambda: (maps(0), *measured(1))),
    "both normalised": (instance_norm.both_normalised, lambda: (*measured(0), *measured(1))),
    "place": (update._place, lambda: (rows(0), rows(1, width=9)[:, 2:8], rows(2, width=9)[:, 2:8])),
    "reset": (update._reset, lambda: (rows(0), rows(1), rows(2), rows(3, width=9)[:, :WIDTH])),
    "blend": (update._blend, lambda: tuple(rows(i) for i in range(5))),
    "blend and return": (update._blend_and_return, lambda: tuple(rows(i) for i in range(5))),
    "step": (update._step, lambda: tuple(rows(i, width=2) for i in range(5))),
    "windows": (correlation._in_one_pass, windows),
    "layer norm": (blocks._normalised, lambda: (rows(0), *(rows(i)[0] for i in (1, 2, 3)), 1e-5)),
    "rectified": (musiq._rectified, lambda: affine(0)),
    "joined groups": (musiq._joined, lambda: (*affine(0), *affine(1))),
    "residual": (amt_blocks._joined, lambda: (maps(0), maps(1), rows(1)[0])),
    "decoder's inputs": (amt._inputs, decoder_inputs),
    "finer": (amt._finer, lambda: (images(0, 4), images(1, 4, 6, 8))),
    "candidates": (amt._candidates, ends_and_flows),
    "combined": (amt._combined, lambda: (images(0, 9), images(1, 3))),
    "floats": (amt.as_floats, lambda: (torch.arange(250, dtype=torch.uint8).view(2, 5, 5, 5),)),
    "gaps": (amt.gaps, lambda: (images(0, 3), (255 * images(1, 3)).to(torch.uint8))),
}


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.slow) if one == "windows" else one for one in ALL]
)
def test_it_is_one_graph_for_tensors_of_any_size(name: str) -> None:
    one, arguments = ALL[name]
    graphs = []

    def count(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(one.function, backend=count, fullgraph=True, dynamic=True)
    mine, theirs = arguments(), arguments()
    with torch.inference_mode():
        close(compiled(*theirs), one(*mine))
    close(theirs, mine)
    assert len(graphs) == 1


@pytest.mark.parametrize("name", ["blend", "step"])
def test_many_sizes_take_two_graphs_at_most(name: str) -> None:
    """One of a single cell and one of any number: torch gives up after eight."""
    graphs = []

    def count(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    one, arguments = ALL[name]
    compiled = torch.compile(one.function, backend=count, fullgraph=True, dynamic=True)
    with torch.inference_mode():
        for cells in (7, 1, 20, 5, 19, 2, 13, 11, 3, 17):
            mine, theirs = ([each[:cells].clone() for each in arguments()] for _ in range(2))
            close(compiled(*theirs), one(*mine))
    assert len(graphs) <= 2


SEVERAL_KERNELS = {"mean", "layer norm", "gaps", "decoder's inputs", "candidates", "finer"}
"""Reductions, and what resizes or samples on the way: a processor's compiler may take more than one kernel."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in ALL if one not in SEVERAL_KERNELS])
def test_it_is_one_kernel_that_keeps_nothing_in_memory(name: str) -> None:
    """On a processor, by the compiler that compiles for GPUs too."""
    from torch._inductor import config
    from torch._inductor.utils import run_and_get_code

    one, arguments = ALL[name]
    mine, theirs = arguments(), arguments()
    with torch.inference_mode(), warnings.catch_warnings(), config.patch(force_disable_caches=True):
        warnings.simplefilter("ignore")
        compiled = one_pass.compiled.__wrapped__(one.function, 0)
        found, (source,) = run_and_get_code(compiled, *theirs)
        expected = one(*mine)
    close(found, expected)
    close(theirs, mine)
    assert source.count('extern "C"') == 1
    new = isinstance(found, torch.Tensor) and all(found is not each for each in theirs)
    assert source.count("= empty_strided_cpu(") == int(new)


def test_a_processor_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass, "compiled", lambda function, device: pytest.fail("compiled for a processor"))
    assert OnePass(torch.neg)(torch.ones(1)).tolist() == [-1.0]


@pytest.mark.parametrize("fault", [torch._dynamo.exc.TorchDynamoException, RuntimeError, FileNotFoundError, OSError])
def test_a_gpu_without_a_compiler_computes_plainly_and_says_so_once(
    fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fails(function: Any, device: int) -> Any:
        asked.append(function)
        raise fault("Cannot find a working triton installation\nmore")

    monkeypatch.setattr(one_pass, "compiled", fails)
    monkeypatch.setattr(one_pass, "_usable", one_pass._Usable())
    one = OnePass(torch.neg, plain=torch.abs)
    elsewhere = torch.empty(3, device="meta")
    with pytest.warns(UserWarning, match="Cannot find a working triton installation.*: on this GPU"):
        assert one(elsewhere).shape == (3,)
    assert one(elsewhere).shape == (3,)
    assert len(asked) == 1


def test_memory_that_runs_out_is_not_taken_for_a_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(function: Any, device: int) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(one_pass, "compiled", full)
    monkeypatch.setattr(torch, "cudnn_convolution_relu", lambda *args: full(*args[:2]))
    monkeypatch.setattr(one_pass, "_usable", one_pass._Usable())
    elsewhere = torch.empty(1, 2, 5, 5, device="meta")
    for compute in (OnePass(torch.neg), Convolution(torch.empty(4, 2, 3, 3, device="meta")).rectified):
        with pytest.raises(torch.OutOfMemoryError):
            compute(elsewhere)
    assert one_pass._usable == one_pass._Usable()


def test_a_gpu_whose_library_cannot_rectify_convolves_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("Unable to find an engine to execute this computation")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", fails)
    monkeypatch.setattr(one_pass, "_usable", one_pass._Usable())
    convolution = Convolution(torch.empty(4, 2, 3, 3, device="meta"), stride=2)
    images = torch.empty(1, 2, 6, 8, device="meta")
    with pytest.warns(UserWarning, match="Unable to find an engine"):
        assert convolution.rectified(images).shape == (1, 4, 3, 4)
    assert convolution.rectified(images).shape == (1, 4, 3, 4)


@pytest.mark.parametrize("shape", [(4, 3, 7, 7), (4, 3, 1, 5), (4, 3, 5, 1), (4, 3, 1, 1)])
def test_a_convolution_keeps_the_size_of_its_images(shape: tuple[int, ...]) -> None:
    weight, bias = torch.randn(shape), torch.randn(4)
    images = torch.randn(2, 3, 8, 10)
    expected = torch.nn.functional.conv2d(images, weight, bias, padding="same")
    close(Convolution(weight, bias)(images), expected)
    close(Convolution(weight, bias).rectified(images), expected.relu())
    close(Convolution(weight, bias).rectified(images, images[:, :1]), (expected + images[:, :1]).relu())
    close(Convolution(weight, stride=2)(images), (expected - bias.view(-1, 1, 1))[:, :, ::2, ::2])


def test_the_simulation_counts_what_one_pass_reads_and_writes() -> None:
    with simulated() as gpu:
        wide, other = (torch.zeros(10, 9, device="cuda:0") for _ in range(2))
        narrow = torch.zeros(10, 6, device="cuda:0")
        gpu.zero()
        update._reset(narrow, narrow + 1, wide[:, 3:], other[:, :6])
        assert (gpu.kinds["one pass"], gpu.traffic["one pass"]) == (1, 4 * 4 * 60)
        update._blend_and_return(narrow, narrow + 1, narrow, narrow, wide[:, 3:])
        assert gpu.traffic["one pass"] - 4 * 4 * 60 == 5 * 4 * 60
        images, weight = torch.zeros(2, 3, 6, 6, device="cuda:0"), torch.zeros(4, 3, 3, 3, device="cuda:0")
        convolution = Convolution(weight)
        gpu.zero()
        once = convolution.rectified(images)
        assert gpu.time.moved == 4 * (images.numel() + weight.numel() + 2 * 4 * 36)
        assert convolution.rectified(images, once).shape == (2, 4, 6, 6)
    assert gpu.kinds == {"cudnn_convolution_relu": 1, "cudnn_convolution_add_relu": 1}
    assert gpu.time.operations["convolution"] == 2 * 2 * 2 * 4 * 36 * 27
    assert gpu.time.moved == 2 * 4 * (images.numel() + weight.numel() + 2 * 4 * 36) + 4 * 2 * 4 * 36
