from __future__ import annotations

from collections.abc import Iterator

import numpy  # noqa: F401  (brings a BLAS)
import pytest
import threadpoolctl
import torch

from pytest_vidmetrics.engine.threads import fitting_threads, reducing_threads
from pytest_vidmetrics.metrics import registry


@pytest.fixture(autouse=True)
def _three() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "params", "threads"),
    [
        ("common.psnr", {}, 1),
        ("common.ssim", {}, 1),
        ("vbench.temporal_flickering", {}, 1),
        ("vbench.temporal_flickering", {"static_filter": True}, 3),
        ("common.fvd", {"extractor": "motion_energy"}, 1),
        ("common.fvd", {"extractor": "i3d"}, 3),
        ("vbench.imaging_quality", {}, 3),
    ],
)
def test_small_operations_have_one_thread(name: str, params: dict[str, object], threads: int) -> None:
    with fitting_threads(registry.get_metric(name, **params), 3):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 3


def test_the_number_is_put_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="a clip"), fitting_threads(registry.get_metric("common.psnr"), 3):
        raise ValueError("a clip")
    assert torch.get_num_threads() == 3


def test_on_a_gpu_nothing_changes() -> None:
    with fitting_threads(registry.get_metric("common.psnr").to("cuda:0"), 3):
        assert torch.get_num_threads() == 3


def _blas() -> set[int]:
    return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}


def test_blas_has_one_thread_on_a_clip_and_its_share_in_a_reduction_and_is_put_back() -> None:
    metric = registry.get_metric("common.fvd", extractor="motion_energy")
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        with fitting_threads(metric, 2):
            assert _blas() == {1}
            with fitting_threads(metric, 2):
                assert _blas() == {1}
        assert _blas() == {3}
        with reducing_threads(metric, 2):
            assert _blas() == {2}
        assert _blas() == {3}
