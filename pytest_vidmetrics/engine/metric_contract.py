"""What every metric promises, tried out on clips made here: for authors of metrics (``vidmetrics check-metric``)."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_vidmetrics.core.types import EvalResults, MetricResult
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.given import GivenSample
from pytest_vidmetrics.engine.identity import identity_of, keys_read
from pytest_vidmetrics.engine.inputs import load_video
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric

if TYPE_CHECKING:
    import numpy as np
    import torch

_COUNT, _FRAMES, _HEIGHT, _WIDTH, _RATE = 6, 16, 64, 96, 16_000
_WORST = 3
Sample = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check: ``"note"`` is something to know that is not a fault."""

    check: str
    status: Literal["ok", "fault", "note"]
    text: str = ""


def samples_here(folder: Path) -> list[dict[str, Any]]:
    """Return six samples with every key that can be made: damaged clips and sound, their clean references, a prompt.

    Sound is written to ``folder``.
    """
    from pytest_vidmetrics.media.degradations import hiss

    made = []
    for seed in range(_COUNT):
        clean, tone = _frames(seed), _sound(seed)
        made.append(
            {
                "id": f"clip{seed}",
                "video": _tensor(_damaged(clean, 1)),
                "reference": _tensor(clean),
                "audio": _written(folder / f"{seed}.wav", hiss(tone, _RATE, 1)),
                "reference_audio": _written(folder / f"{seed}-reference.wav", tone),
                "text_prompt": "a bright spot moves over a slow wave",
                "reference_text": "a bright spot moves over a slow wave",
                "fps": 12.0,
            }
        )
    return made


def check_metric(name: str, samples: Sequence[Sample], params: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Yield a finding for each promise of the metric registered as ``name``, with constructor arguments ``params``.

    A fault that makes the other checks pointless is the last finding.
    """
    chosen = dict(params or {})
    metric = registry.get_metric(name, **chosen)
    missing = [key for key in metric.required_keys() if any(key not in one for one in samples)]
    if missing:
        yield Finding("samples", "fault", f"they lack {', '.join(missing)}: give rows that have them (--samples)")
        return
    for found in _identity(name, chosen):
        yield found
        if found.status == "fault":
            return
    first = _run(name, samples, chosen)
    if bad := _without_score(name, first):
        yield Finding("scores", "fault", bad)
        return
    yield Finding("scores", "ok", _shown(name, first))
    yield _same("deterministic", name, first, lambda: _run(name, samples, chosen))  # with a new, empty store
    yield _same("order of samples", name, first, lambda: _run(name, samples[::-1], chosen, backwards=True))
    for argument in sorted(_neutral(metric)):
        yield _same(f"{argument} is neutral", name, first, partial(_run, name, samples, {**chosen, argument: 3}))
    yield _undeclared(metric, samples[0])
    yield _range(metric, first)
    if isinstance(metric, SetMetric):
        yield _merging(name, samples, chosen)
    yield _direction(name, metric, samples, chosen)
    yield _few_frames(name, metric, samples[0], chosen)


def _identity(name: str, params: Mapping[str, Any]) -> Iterator[Finding]:
    metric, twin = registry.get_metric(name, **params), registry.get_metric(name, **params)
    try:
        text = json.dumps(identity_of(metric), sort_keys=True, allow_nan=False)
    except (AttributeError, TypeError, ValueError) as error:
        reason = "every constructor argument is stored in an attribute of its name, as a JSON value"
        yield Finding("identity", "fault", f"{error}: {reason}")
        return
    same = text == json.dumps(identity_of(twin), sort_keys=True)
    yield Finding("identity", "ok" if same else "fault", "" if same else "two instances differ")
    if not metric.noise_floor and not metric.noise_source:
        yield Finding(
            "noise floor", "note", "noise_floor is 0 and noise_source is empty: gates take any change for real"
        )


def _run(name: str, samples: Sequence[Sample], params: Mapping[str, Any], *, backwards: bool = False) -> EvalResults:
    with Evaluator(name, "cpu", metric_kwargs={name: params}) as evaluator:
        found = evaluator.evaluate([dict(sample) for sample in samples])
    return EvalResults(found[::-1] if backwards else found, found.corpus)


def _scores(name: str, found: EvalResults) -> list[tuple[float | None, Any]]:
    """Return the numbers that must be equal, with their details."""
    if name in found.corpus:
        return [(found.corpus[name].score, dict(found.corpus[name].details))]
    return [(one[name].score, dict(one[name].details)) for one in found]


def _without_score(name: str, found: EvalResults) -> str:
    results = [found.corpus[name]] if name in found.corpus else [one[name] for one in found]
    bad = [one for one in results if one.score is None]
    failed = [one[name] for one in found if name in one and one[name].score is None]
    worst: list[MetricResult] = failed or bad
    return f"{len(worst)} of {len(found)} samples: {worst[0].status}: {worst[0].reason}" if worst else ""


def _shown(name: str, found: EvalResults) -> str:
    values = [score for score, _ in _scores(name, found) if score is not None]
    return f"{min(values):.6g}" if len(values) == 1 else f"{min(values):.6g} to {max(values):.6g}"


def _same(check: str, name: str, first: EvalResults, again: Callable[[], EvalResults]) -> Finding:
    try:
        second = again()
    except Exception as error:
        return Finding(check, "fault", f"{type(error).__name__}: {error}")
    before, now = _scores(name, first), _scores(name, second)
    for (old, details), (new, other) in zip(before, now, strict=True):
        if old != new:
            return Finding(check, "fault", f"{old!r}, then {new!r}")
        if details != other:
            keys = sorted(key for key in {*details, *other} if details.get(key) != other.get(key))
            return Finding(check, "fault", f"details differ: {', '.join(keys)}")
    return Finding(check, "ok")


def _neutral(metric: BaseMetric) -> set[str]:
    """Return the neutral arguments that are whole numbers, such as ``chunk_size``."""
    return {name for name in metric.neutral if type(getattr(metric, name, None)) is int}


def _undeclared(metric: BaseMetric, sample: Sample) -> Finding:
    import torch

    given = GivenSample(_prepared(metric, sample), frozenset(keys_read(metric)))
    metric.setup()
    with torch.no_grad():
        metric.features(given) if isinstance(metric, SetMetric) else metric.compute(given)
    if given.undeclared:
        seen = ", ".join(sorted(given.undeclared))
        return Finding(
            "declared keys", "fault", f"it looks at {seen}: name them in requires or reads, or results are never kept"
        )
    return Finding("declared keys", "ok")


def _prepared(metric: BaseMetric, sample: Sample) -> dict[str, Any]:
    """Return a sample with its clips as the metric reads them, where the engine does not do it."""
    values = dict(sample)
    for key in ("video", "reference"):
        if key not in values:
            continue
        frames = load_video(values[key])
        values[key] = frames if metric.pixels == "float32" else frames.mul(255).round().byte()
    return values


def _range(metric: BaseMetric, found: EvalResults) -> Finding:
    if metric.value_range is None:
        return Finding("range", "note", "value_range is not declared")
    low, high = metric.value_range
    out = [score for score, _ in _scores(metric.name, found) if score is not None and not low <= score <= high]
    return Finding("range", "fault", f"{out[0]!r} is outside [{low:g}, {high:g}]") if out else Finding("range", "ok")


def _merging(name: str, samples: Sequence[Sample], params: Mapping[str, Any]) -> Finding:
    """Collect in one worker and in two, merged either way."""

    def collected(parts: Sequence[Sequence[Sample]]) -> float | None:
        workers = []
        for part in parts:
            metric = registry.get_metric(name, **params)
            assert isinstance(metric, SetMetric)
            metric.setup()
            metric.reset()
            for sample in part:
                metric.accumulate(_prepared(metric, sample))
            workers.append(metric)
        for other in workers[1:]:
            workers[0].merge_from(other)
        return workers[0].finalize().score

    half = len(samples) // 2
    ways = [[samples], [samples[:half], samples[half:]], [samples[half:], samples[:half]]]
    values = [collected(way) for way in ways]
    if values[0] is None or len(set(values)) > 1:
        return Finding("merging", "fault", f"one worker {values[0]!r}, two {values[1]!r}, the other way {values[2]!r}")
    return Finding("merging", "ok")


def _direction(name: str, metric: BaseMetric, samples: Sequence[Sample], params: Mapping[str, Any]) -> Finding:
    """Compare clips that are their references with badly damaged ones."""
    keys = {"video": "reference", "audio": "reference_audio"}
    pairs = [(key, other) for key, other in keys.items() if key in keys_read(metric) and other in samples[0]]
    made_here = [pair for pair in pairs if pair[0] == "video" and hasattr(samples[0]["video"], "permute")]
    if not made_here:
        return Finding("direction", "note", "not tried: no clips with references that can be damaged here")
    clean = [{**sample, "video": sample["reference"]} for sample in samples]
    bad = [{**sample, "video": _tensor(_damaged(_array(sample["reference"]), _WORST))} for sample in samples]
    better, worse = (_mean(name, _run(name, some, params)) for some in (clean, bad))
    if better is None or worse is None:
        return Finding("direction", "fault", "clean or damaged clips have no score")
    said = f"clean {better:.6g}, badly damaged {worse:.6g}"
    told = "higher" if metric.higher_is_better else "lower"
    if (better > worse) if metric.higher_is_better else (better < worse):
        return Finding("direction", "ok", said)
    compares = metric.is_set_metric or "reference" in metric.required_keys()
    return Finding("direction", "fault" if compares else "note", f"{said}, although {told} is better")


def _mean(name: str, found: EvalResults) -> float | None:
    values = [score for score, _ in _scores(name, found)]
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else None


def _few_frames(name: str, metric: BaseMetric, sample: Sample, params: Mapping[str, Any]) -> Finding:
    """Try a clip of one frame: it has a score, or is refused with a reason that is not a bare exception."""
    if metric.is_set_metric or "video" not in metric.required_keys() or not hasattr(sample["video"], "permute"):
        return Finding("one frame", "note", "not tried")
    short = {**sample, **{key: sample[key][:1] for key in ("video", "reference") if key in sample}}
    found = _run(name, [short], params)[0][name]
    if found.score is None and found.status == "failed" and "traceback" in found.details:
        return Finding(
            "one frame", "fault", f"{found.reason}: raise IncompatibleSampleError, or skip, with what it needs"
        )
    return Finding("one frame", "ok", found.reason if found.score is None else "")


def _frames(seed: int) -> np.ndarray:
    """Return ``(T, H, W, 3)`` uint8: a bright spot that moves over a slow wave."""
    import numpy as np

    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    frames = []
    for t in range(_FRAMES):
        wave_ = 40 * np.sin((x + 2 * t + 9 * seed) / 11) + 30 * np.cos((y - t) / (7 + seed))
        spot = 90 * np.exp(-((x - 12 - 4 * t) ** 2 + (y - 20 - 3 * seed - t) ** 2) / 60)
        frames.append(np.stack([110 + wave_ + spot, 120 - wave_ / 2 + spot, 100 + wave_ / 3 - spot / 2], axis=-1))
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def _damaged(frames: np.ndarray, dose: int) -> np.ndarray:
    from pytest_vidmetrics.media.degradations import blur, noise

    return noise(blur(frames, dose), dose)


def _tensor(frames: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()


def _array(frames: torch.Tensor) -> np.ndarray:
    array: np.ndarray = frames.permute(0, 2, 3, 1).numpy()
    return array


def _sound(seed: int) -> np.ndarray:
    import numpy as np

    time = np.arange(4 * _RATE) / _RATE
    return (0.3 * np.sin(2 * np.pi * (220 + 30 * seed) * time) * (1 + np.sin(5 * time)) / 2).astype(np.float32)


def _written(path: Path, sound: np.ndarray) -> str:
    import numpy as np

    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, _RATE, 0, "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return str(path)
