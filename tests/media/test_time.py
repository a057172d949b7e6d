"""When frames are shown: variable rates, rates that a container states wrongly, recordings that were joined."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.media.clock import Stamp, clock_of, frames_before, shown_at
from pytest_vidmetrics.media.video import probe, read_clip
from tests.support.media_clips import SLOW_THEN_FAST, gray_ramp, write_at, write_video
from tests.support.remux import remux_to_avi


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.webm"])
def test_the_times_of_a_variable_rate_are_read(tmp_path, name):
    path = write_at(tmp_path / name, SLOW_THEN_FAST, "libvpx" if name.endswith("webm") else "libx264")
    clip = read_clip(path)
    assert clip.total == len(SLOW_THEN_FAST)
    assert clip.times is not None
    assert clip.times[:-1] == pytest.approx(SLOW_THEN_FAST, abs=1e-3)
    assert clip.times[-1] == pytest.approx(SLOW_THEN_FAST[-1] + 1 / 24, abs=0.1)
    assert clip.fps == pytest.approx(24 / 1.625, rel=0.15)
    assert "variable frame rate" in probe(path).remarks


@pytest.mark.parametrize("fps", [8, 10, 24, 25, 30, 50, 60, Fraction(24000, 1001), Fraction(30000, 1001)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.flv"])
def test_a_constant_rate_is_what_the_container_states(tmp_path, name, fps):
    path = write_video(tmp_path / name, gray_ramp(20), fps=fps, options={"preset": "ultrafast"})
    clip = read_clip(path)
    assert clip.times is None
    assert clip.fps == pytest.approx(float(fps), rel=0.002)
    assert probe(path).remarks == ()


@pytest.mark.parametrize("frames", [3, 24])
def test_an_avi_that_states_another_rate_has_the_rate_of_its_frames(tmp_path, frames):
    source = write_video(tmp_path / "b.mp4", gray_ramp(frames), fps=24, options={"bf": "2"})
    path = remux_to_avi(source, tmp_path / "b.avi")
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate != 24
    clip = read_clip(path)
    assert (clip.total, clip.times) == (frames, None)
    assert clip.fps == pytest.approx(24, rel=0.01)


def test_a_gif_has_the_rate_of_its_delays(tmp_path):
    from PIL import Image

    images = [Image.fromarray(pixels).quantize(64) for pixels in gray_ramp(16)]
    path = tmp_path / "eight.gif"
    delays = [130 if number % 2 == 0 else 120 for number in range(16)]  # hundredths of a second
    images[0].save(path, save_all=True, append_images=images[1:], duration=delays)
    assert read_clip(path).fps == pytest.approx(8, rel=0.01)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30),
    st.sampled_from([1 / 1000, 1 / 90000, 1 / 12288]),
    st.integers(-500, 500),
)
def test_times_are_sorted_start_at_0_and_frames_are_found_by_them(steps, unit, start):
    at = [start + sum(steps[:n]) * 1000 for n in range(len(steps) + 1)]
    clock = clock_of([Stamp(pts, pts) for pts in at], unit, [None])
    times = clock.times or [i / clock.fps for i in range(len(at) + 1)]
    assert times[0] == 0
    assert all(before < after for before, after in itertools.pairwise(times))
    assert len(times) == len(at) + 1
    for number, time in enumerate(times[:-1]):
        assert shown_at(times, time) == number
        assert frames_before(times, time) == number
    assert shown_at(times, -1) == 0
    assert shown_at(times, 1e9) == len(at) - 1


def test_recordings_that_were_joined_follow_each_other():
    frames = [Stamp(i * 100, i * 100) for i in range(10)]
    clock = clock_of([*frames, *frames], 1 / 1000, [10.0])
    assert clock.times is None
    assert clock.fps == pytest.approx(10)


def test_frames_without_times_have_the_stated_rate():
    assert clock_of([Stamp(None, None)] * 3, 1 / 25, [None, 25.0]).fps is None
    assert clock_of([Stamp(None, None)] * 3, 1 / 25, [25.0]).fps == 25.0
    np.testing.assert_equal(clock_of([], 1, []).times, None)
