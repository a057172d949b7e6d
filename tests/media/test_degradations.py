from __future__ import annotations

import numpy as np
import pytest

from pytest_vidmetrics.media.degradations import DEGRADATIONS, DOSES, exchanged
from tests.support.oracle_fill import clip_uint8

PICTURES = [one for one in DEGRADATIONS if one.frames is not None]
SOUNDS = [one for one in DEGRADATIONS if one.sound is not None]


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.ascontiguousarray(clip_uint8(25, 48, 64, seed=3)).reshape(25, 48, 64, 3)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    t = np.arange(32_000, dtype=np.float32) / 16_000
    return (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)


@pytest.mark.parametrize("one", PICTURES, ids=lambda one: one.name)
def test_pictures_keep_their_shape_and_a_larger_dose_damages_more(one, frames: np.ndarray) -> None:
    before = frames.copy()
    damaged = [one.frames(frames, dose) for dose in DOSES]
    assert np.array_equal(frames, before)
    assert all(found.shape == frames.shape and found.dtype == np.uint8 for found in damaged)
    errors = [float(np.abs(found.astype(int) - frames).mean()) for found in damaged]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert np.array_equal(damaged[1], one.frames(frames, 2))


@pytest.mark.parametrize("one", SOUNDS, ids=lambda one: one.name)
@pytest.mark.parametrize("channels", [None, 2])
def test_sound_keeps_its_length_and_a_larger_dose_damages_more(one, channels: int | None, sound: np.ndarray) -> None:
    given = sound if channels is None else np.stack([sound] * channels)
    damaged = [one.sound(given, 16_000, dose) for dose in DOSES]
    assert all(found.shape == given.shape and found.dtype == np.float32 for found in damaged)
    errors = [float(np.abs(found - given).mean()) for found in damaged]
    if one.name != "late sound":  # a tone that is shifted by whole periods is the same tone
        assert 0 < errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("one", PICTURES, ids=lambda one: one.name)
def test_very_short_clips_are_no_error(one, count: int, frames: np.ndarray) -> None:
    for dose in DOSES:
        assert one.frames(frames[:count], dose).shape == frames[:count].shape


@pytest.mark.parametrize("count", range(6))
def test_exchanged_prompts_are_the_same_prompts_in_other_places(count: int) -> None:
    prompts = [f"prompt {i}" for i in range(count)]
    for dose in DOSES:
        moved = exchanged(prompts, dose)
        assert sorted(moved) == prompts
        if count >= 2:
            assert moved != tuple(prompts)


def test_names_are_unique_and_each_dose_is_described() -> None:
    assert len({one.name for one in DEGRADATIONS}) == len(DEGRADATIONS)
    assert all(len(set(one.doses)) == len(DOSES) for one in DEGRADATIONS)
