"""Sixteen small procedural scenes, each a moving picture of ``(height, width, 3)`` float frames in [0, 1].

They stand in for the clips of a generator: every scene has its own colours, texture and motion. A scene is a
function of time alone (``0 <= t < 1``), so the same call always gives the same pixels. ``jitter`` is the small
difference in layout that another checkpoint of the same generator would show for the same prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HEIGHT, WIDTH = 96, 160
Array = np.ndarray
TAU = 2 * np.pi


@dataclass(frozen=True)
class Scene:
    """One prompt and the function that draws it: ``draw(x, y, t)`` with x, y in pixels."""

    prompt: str
    draw: Callable[[Array, Array, float], Array]
    pitch: float
    """Frequency of the sound in Hz."""


def render(name: str, frames: int, jitter: float = 0.0) -> Array:
    """Return ``(frames, HEIGHT, WIDTH, 3)`` uint8 RGB pixels of scene ``name``, moved by ``jitter`` pixels."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    draw = SCENES[name].draw
    stack = [draw(x + jitter, y - 0.5 * jitter, i / frames) for i in range(frames)]
    return np.rint(255 * np.clip(np.stack(stack), 0, 1)).astype(np.uint8)


def _rgb(*channels: float) -> Array:
    return np.array(channels, dtype=np.float64)


def _mix(background: Array, colour: Array, cover: Array) -> Array:
    return background * (1 - cover[..., None]) + colour * cover[..., None]


def _disc(x: Array, y: Array, cx: float, cy: float, radius: float) -> Array:
    return np.clip(radius - np.hypot(x - cx, y - cy) + 0.5, 0, 1)


def _box(x: Array, y: Array, left: float, top: float, width: float, height: float) -> Array:
    inside_x = np.clip(np.minimum(x - left, left + width - x) + 0.5, 0, 1)
    return inside_x * np.clip(np.minimum(y - top, top + height - y) + 0.5, 0, 1)


def _sky(y: Array, top: Array, bottom: Array) -> Array:
    return _mix(np.broadcast_to(top, (*y.shape, 3)), bottom, np.clip(y / HEIGHT, 0, 1))


def _cloud(x: Array, y: Array, seed: int, scale: float = 1.0) -> Array:
    """Return a smooth random texture in [0, 1]: a sum of plane waves, defined for every real x and y."""
    rng = np.random.default_rng(seed)
    total = np.zeros_like(x)
    for octave in range(24):
        length = scale * 40 / (1 + 0.5 * octave)
        angle, phase = rng.uniform(0, TAU, 2)
        total += np.sin(TAU * (x * np.cos(angle) + y * np.sin(angle)) / length + phase) / (1 + 0.25 * octave)
    return np.clip(0.5 + 0.12 * total, 0, 1)


def _ball(x: Array, y: Array, t: float) -> Array:
    picture = _mix(_sky(y, _rgb(0.75, 0.8, 0.85), _rgb(0.6, 0.6, 0.65)), _rgb(0.3, 0.3, 0.32), np.clip(y - 80, 0, 1))
    height = 60 * abs(np.sin(TAU * t))
    return _mix(picture, _rgb(0.85, 0.1, 0.1), _disc(x, y, 20 + 120 * t, 70 - height, 11))


def _fabric(x: Array, y: Array, t: float) -> Array:
    stripes = 0.5 + 0.5 * np.sin(TAU * (x + 0.3 * y - 40 * t) / 16)
    return _mix(np.broadcast_to(_rgb(0.9, 0.85, 0.7), (*x.shape, 3)), _rgb(0.15, 0.25, 0.5), stripes)


def _clock(x: Array, y: Array, t: float) -> Array:
    picture = np.broadcast_to(_rgb(0.2, 0.35, 0.3), (*x.shape, 3))
    picture = _mix(picture, _rgb(0.95, 0.95, 0.92), _disc(x, y, 80, 48, 42))
    angle = TAU * t
    along = (x - 80) * np.sin(angle) - (y - 48) * np.cos(angle)
    across = (x - 80) * np.cos(angle) + (y - 48) * np.sin(angle)
    return _mix(picture, _rgb(0.1, 0.1, 0.1), _box(along, across, 0, -2, 36, 4))


def _stars(x: Array, y: Array, t: float) -> Array:
    rng = np.random.default_rng(4)
    picture = _sky(y, _rgb(0.02, 0.02, 0.1), _rgb(0.1, 0.08, 0.2))
    for cx, cy, size in zip(rng.uniform(0, 240, 40), rng.uniform(0, 96, 40), rng.uniform(0.8, 2.5, 40), strict=True):
        picture = _mix(picture, _rgb(1, 1, 0.9), _disc(x, y, cx - 60 * t, cy, size))
    return picture


def _waves(x: Array, y: Array, t: float) -> Array:
    picture = _sky(y, _rgb(0.45, 0.7, 0.95), _rgb(0.8, 0.9, 1))
    for row in range(4):
        crest = 45 + 13 * row + 4 * np.sin(TAU * (x / (50 + 9 * row) - (1 + 0.4 * row) * t))
        picture = _mix(picture, _rgb(0.05, 0.45 - 0.08 * row, 0.6 - 0.1 * row), np.clip(y - crest, 0, 1))
    return picture


def _checker(x: Array, y: Array, t: float) -> Array:
    zoom = 1 + 1.5 * t
    board = np.sin(TAU * (x - 80) / (40 * zoom)) * np.sin(TAU * (y - 48) / (40 * zoom))
    return _mix(
        np.broadcast_to(_rgb(0.1, 0.1, 0.12), (*x.shape, 3)), _rgb(0.95, 0.9, 0.8), np.clip(0.5 + 4 * board, 0, 1)
    )


def _rain(x: Array, y: Array, t: float) -> Array:
    rng = np.random.default_rng(7)
    picture = np.repeat((0.35 + 0.25 * _cloud(x, y, 17))[..., None], 3, axis=2) * _rgb(1, 0.9, 0.8)
    for cx, start, speed in zip(rng.uniform(0, 160, 26), rng.uniform(0, 120, 26), rng.integers(1, 4, 26), strict=True):
        top = (start + 120 * speed * t) % 120 - 16
        picture = _mix(picture, _rgb(0.8, 0.88, 1), 0.8 * _box(x, y, cx, top, 1.5, 12))
    return picture


def _sunset(x: Array, y: Array, t: float) -> Array:
    picture = _sky(y, _rgb(0.3 - 0.15 * t, 0.25 - 0.1 * t, 0.5), _rgb(1, 0.6 - 0.3 * t, 0.2))
    picture = _mix(picture, _rgb(1, 0.85 - 0.35 * t, 0.3), _disc(x, y, 80, 30 + 45 * t, 16))
    hills = 72 + 6 * np.sin(TAU * x / 90) + 3 * np.sin(TAU * x / 37)
    return _mix(picture, _rgb(0.1, 0.08, 0.12), np.clip(y - hills, 0, 1))


def _crossing(x: Array, y: Array, t: float) -> Array:
    picture = np.broadcast_to(_rgb(0.92, 0.92, 0.95), (*x.shape, 3))
    picture = _mix(picture, _rgb(0.1, 0.5, 0.3), _disc(x, y, 20 + 120 * t, 40, 17))
    return _mix(picture, _rgb(0.95, 0.6, 0.1), _disc(x, y, 140 - 120 * t, 56, 17))


def _smoke(x: Array, y: Array, t: float) -> Array:
    parts = [_cloud(x + 12 * np.sin(TAU * t), y + 36 * t, seed, 1.8) for seed in (1, 2, 3)]
    return np.stack(parts, axis=2) * _rgb(0.9, 0.6, 1) + _rgb(0.05, 0.05, 0)


def _tunnel(x: Array, y: Array, t: float) -> Array:
    distance = np.hypot(x - 80, y - 48) + 4
    rings = 0.5 + 0.5 * np.sin(TAU * (2.2 * np.log(distance) - 3 * t))
    return rings[..., None] * _rgb(0.9, 0.35, 0.6) * np.clip(distance / 60, 0, 1)[..., None]


def _pinwheel(x: Array, y: Array, t: float) -> Array:
    blades = 0.5 + 2 * np.sin(4 * (np.arctan2(y - 48, x - 80) - TAU * t / 4))
    picture = _mix(_sky(y, _rgb(0.6, 0.85, 1), _rgb(0.4, 0.7, 0.4)), _rgb(0.95, 0.95, 0.5), _disc(x, y, 80, 48, 40))
    return _mix(picture, _rgb(0.8, 0.15, 0.5), np.clip(blades, 0, 1) * _disc(x, y, 80, 48, 40))


def _meadow(x: Array, y: Array, t: float) -> Array:
    texture = _cloud(x + 70 * t, y, 13, 0.5)
    return texture[..., None] * _rgb(0.45, 0.85, 0.3) + 0.1 * _cloud(x + 70 * t, y, 14)[..., None]


def _pendulum(x: Array, y: Array, t: float) -> Array:
    angle = 0.7 * np.sin(TAU * t)
    cx, cy = 80 + 70 * np.sin(angle), 4 + 70 * np.cos(angle)
    along = (x - 80) * np.sin(angle) + (y - 4) * np.cos(angle)
    across = (x - 80) * np.cos(angle) - (y - 4) * np.sin(angle)
    picture = _mix(
        _sky(y, _rgb(0.85, 0.8, 0.7), _rgb(0.6, 0.5, 0.4)), _rgb(0.2, 0.2, 0.2), _box(along, across, 0, -1, 70, 2)
    )
    return _mix(picture, _rgb(0.2, 0.3, 0.7), _disc(x, y, cx, cy, 12))


def _ripples(x: Array, y: Array, t: float) -> Array:
    distance = np.hypot(x - 60, y - 40)
    height = np.sin(TAU * (distance / 14 - 2 * t)) * np.exp(-distance / 60)
    return np.clip(0.5 + 0.4 * height, 0, 1)[..., None] * _rgb(0.5, 0.8, 0.9)


def _train(x: Array, y: Array, t: float) -> Array:
    picture = _mix(_sky(y, _rgb(0.7, 0.85, 0.95), _rgb(0.95, 0.95, 0.9)), _rgb(0.5, 0.45, 0.3), np.clip(y - 70, 0, 1))
    for car, colour in enumerate((_rgb(0.7, 0.1, 0.1), _rgb(0.9, 0.75, 0.2), _rgb(0.15, 0.3, 0.55))):
        left = -120 + 170 * t + 46 * car
        picture = _mix(picture, colour, _box(x, y, left, 48, 40, 20))
        picture = _mix(picture, _rgb(0.95, 0.95, 1), _box(x, y, left + 6, 52, 10, 7) + _box(x, y, left + 22, 52, 10, 7))
    return picture


SCENES: dict[str, Scene] = {
    "ball": Scene("a red ball bounces across a grey floor", _ball, 220),
    "checker": Scene("the camera moves away from a checkerboard wall", _checker, 247),
    "clock": Scene("a clock hand sweeps over a white dial", _clock, 262),
    "crossing": Scene("a green and an orange disc pass each other", _crossing, 294),
    "fabric": Scene("striped fabric slides to the right", _fabric, 330),
    "meadow": Scene("a slow pan over a meadow", _meadow, 349),
    "pendulum": Scene("a blue pendulum swings", _pendulum, 392),
    "pinwheel": Scene("a pinwheel turns in front of the sky", _pinwheel, 440),
    "rain": Scene("rain falls in front of a brown wall", _rain, 494),
    "ripples": Scene("ripples spread from a drop in a pond", _ripples, 523),
    "smoke": Scene("coloured smoke rises", _smoke, 587),
    "stars": Scene("the camera pans over a starry sky", _stars, 659),
    "sunset": Scene("the sun sets behind dark hills", _sunset, 698),
    "train": Scene("a train with three cars passes", _train, 784),
    "tunnel": Scene("a flight through a tunnel of pink rings", _tunnel, 880),
    "waves": Scene("waves roll under a blue sky", _waves, 988),
}
