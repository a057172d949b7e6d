from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks.corruption_ladder import ladder, rows, scene
from benchmarks.corruptions import CORRUPTIONS
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks.motion_energy import MotionEnergy
from pytest_vidmetrics.stats.frechet import frechet
from tests.support.oracle_fill import clip_uint8
from tests.support.pixel_clips import tensor


@pytest.fixture(scope="module")
def clips():
    return [scene(seed, 16, 48, 64) for seed in range(6)]


@pytest.fixture(scope="module")
def distances(clips):
    return ladder(clips)


@pytest.mark.parametrize("corruption", list(CORRUPTIONS))
def test_the_distance_grows_with_every_corruption(distances, corruption):
    values = [0.0, *distances[corruption]]
    assert all(weaker < stronger for weaker, stronger in itertools.pairwise(values)), values
    assert values[4] > 1.5 * values[1]


def test_the_same_clips_have_no_distance(clips):
    assert frechet(rows(clips), rows(clips)).distance == pytest.approx(0.0, abs=1e-9)


def test_there_is_one_finite_number_per_dimension():
    described = MotionEnergy().describe(tensor(clip_uint8(9, 40, 60)))
    assert described.shape == (MotionEnergy.dimension,)
    assert described.dtype == np.float64
    assert np.isfinite(described).all()
    assert MotionEnergy.dimension <= 64


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_clip_of_one_grey_is_described(level):
    described = MotionEnergy().describe(torch.full((7, 3, 32, 32), level, dtype=torch.uint8))
    assert np.isfinite(described).all()


def test_the_same_clip_gives_the_same_numbers_on_more_threads():
    clip = tensor(clip_uint8(16, 64, 96))
    script = (
        "import sys, torch; torch.set_num_threads(int(sys.argv[1]));"
        "from pytest_vidmetrics.networks.motion_energy import MotionEnergy;"
        "from tests.support.oracle_fill import clip_uint8;"
        "clip = torch.from_numpy(clip_uint8(16, 64, 96)).permute(0, 3, 1, 2);"
        "print(MotionEnergy().describe(clip).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", script, "3"], capture_output=True, text=True, check=True)
    other = [float(number) for number in run.stdout.strip("[]\n").split(",")]
    np.testing.assert_allclose(other, MotionEnergy().describe(clip), atol=1e-5)


@pytest.mark.parametrize(("direction", "strongest"), [(1, 1), (-1, 2)])
def test_direction_of_motion_shows(direction, strongest):
    x = np.arange(64)
    waves = [128 + 60 * np.sin(2 * np.pi * (x - direction * t) / 8) for t in range(16)]
    clip = np.broadcast_to(np.stack(waves)[:, None, :, None], (16, 48, 64, 3))
    across = MotionEnergy().describe(tensor(clip))[:5]
    assert np.argmax(across) == strongest
    assert across[strongest] > across[3 - strongest] + 1


@pytest.mark.parametrize(("shape", "message"), [((6, 3, 32, 32), "6 frames"), ((8, 3, 15, 40), "40x15")])
def test_clips_too_small_are_refused(shape, message):
    with pytest.raises(IncompatibleSampleError, match=message):
        MotionEnergy().describe(torch.zeros(shape, dtype=torch.uint8))


def test_the_number_of_threads_changes_no_bit() -> None:
    frames = tensor(clip_uint8(16, 96, 128, 0))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(MotionEnergy().describe(frames).tobytes())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(set(found)) == 1
