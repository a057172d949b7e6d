"""What the gates of a case would catch: its own clips, damaged in memory, judged against themselves undamaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.engine.reduce import Outcomes, reduce
from pytest_vidmetrics.engine.values import completed
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.gates.baseline import Baseline, Noise
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    from pytest_vidmetrics.engine.worker import EvalWorker
    from pytest_vidmetrics.media.degradations import Degradation

_READS = {"frames": "video", "sound": "audio", "prompts": "text_prompt"}
"""The sample key that each kind of damage changes."""


@dataclass(frozen=True)
class Gate:
    """One gate under test: its policy and metric, who records its baseline, and the noise measured for it, if any."""

    config: MetricConfig
    metric: BaseMetric
    owner: Recorder
    noise: Noise | None = None

    @property
    def whole(self) -> MetricConfig:
        """The gate on all clips: one that decides early would call few clips undecided, which catches nothing."""
        if self.config.policy.decide != "sequential":
            return self.config
        return replace(self.config, policy=replace(self.config.policy, decide="point", max_n=None))


@dataclass(frozen=True)
class Caught:
    """The smallest dose (1 to 3) from which on a gate is red, ``None`` for none; or why it could not be tried."""

    gate: str
    degradation: str
    dose: int | None
    why: str = ""


def table(gates: Sequence[Gate], corpus: Corpus, worker: EvalWorker, kinds: Iterable[Degradation]) -> Iterator[Caught]:
    """Yield what each gate catches of each degradation that changes what its metric reads.

    Clips are decoded and damaged one by one, and never written. Results go through the worker's store, where the
    content of a damaged clip is its key. A larger dose that passes again is not caught before it.
    """
    clean = {one.config.gate: _collected(one.metric, corpus, worker, [sample.values for sample in corpus.samples])
             for one in gates}  # fmt: skip
    bases: dict[str, Baseline] = {}
    for one in gates:
        observed = reduce(one.metric, corpus.of(one.metric.name), clean[one.config.gate], threads=worker.threads)
        # Without a baseline the verdict says whether the gate works at all: MISSING is the only one wanted.
        first = judge(one.whole, observed, None)
        if first.status != "MISSING":
            yield Caught(one.config.gate, "", None, f"{first.status}: {first.reason}")
            continue
        bases[one.config.gate] = Baseline.of(observed, one.owner, noise=one.noise)
    for kind in kinds:
        concerned = [one for one in gates if one.config.gate in bases and _concerns(kind, one.metric, corpus)]
        red: dict[str, list[bool]] = {one.config.gate: [] for one in concerned}
        for dose in (1, 2, 3) if concerned else ():
            found = _damaged(concerned, corpus, worker, kind, dose)
            for one in concerned:
                name = one.config.gate
                outcomes = Outcomes(found[name], clean[name].references)
                observed = reduce(one.metric, corpus.of(one.metric.name), outcomes, threads=worker.threads)
                red[name].append(not judge(one.whole, observed, bases[name]).passed)
        for name, doses in red.items():
            # Red at this dose and at every larger one.
            sure = [dose for dose in (1, 2, 3) if all(doses[dose - 1 :])]
            yield Caught(name, kind.name, min(sure, default=None))


def _concerns(kind: Degradation, metric: BaseMetric, corpus: Corpus) -> bool:
    key = _READS[kind.of]
    reads = {*metric.required_keys(), *metric.reads}
    return key in reads and any(completed(sample.values).get(key) is not None for sample in corpus.samples)


def _collected(metric: BaseMetric, corpus: Corpus, worker: EvalWorker, values: Iterable[Mapping[str, Any]]) -> Outcomes:
    samples = corpus.samples
    references = corpus.of(metric.name).references if metric.is_set_metric else ()
    return Outcomes(
        dict(zip((sample.id for sample in samples), _run(worker, metric, values), strict=True)),
        dict(zip((one.id for one in references), _run(worker, metric, (r.values for r in references)), strict=True)),
    )


def _run(worker: EvalWorker, metric: BaseMetric, values: Iterable[Mapping[str, Any]]) -> Iterator[Outcome]:
    return (found[0] for found in worker.stream(Unit(one, (metric,)) for one in values))


def _damaged(
    gates: Sequence[Gate], corpus: Corpus, worker: EvalWorker, kind: Degradation, dose: int
) -> dict[str, dict[str, Outcome]]:
    """Return the outcomes of all samples at one dose, by gate; a damaged clip is forgotten once it is scored."""
    metrics = tuple(one.metric for one in gates)
    units = (Unit(values, metrics) for values in _values(corpus.samples, kind, dose))
    found: dict[str, dict[str, Outcome]] = {one.config.gate: {} for one in gates}
    for sample, outcomes in zip(corpus.samples, worker.stream(units), strict=True):
        for one, outcome in zip(gates, outcomes, strict=True):
            found[one.config.gate][sample.id] = outcome
    return found


def _values(samples: Sequence[Sample], kind: Degradation, dose: int) -> Iterator[Mapping[str, Any]]:
    """Yield the values of each sample with the damage in them."""
    from pytest_vidmetrics.media.degradations import exchanged

    key = _READS[kind.of]
    whole = [completed(sample.values) for sample in samples]
    if kind.frames is None and kind.sound is None:
        # Prompts or sounds move among the samples that have one.
        having = [index for index, values in enumerate(whole) if values.get(key) is not None]
        moved = dict(zip(having, exchanged([whole[index][key] for index in having], dose), strict=True))
        yield from ({**values, key: moved[index]} if index in moved else values for index, values in enumerate(whole))
        return
    for index, values in enumerate(whole):
        # `every` is a stride: the clips between are left as they are.
        spared = values.get(key) is None or index % kind.every
        yield values if spared else {**values, key: _changed(values[key], kind, dose)}


def _changed(value: Any, kind: Degradation, dose: int) -> Any:
    if kind.sound is not None:
        from pytest_vidmetrics.media.audio import load_audio

        if isinstance(value, tuple):
            samples, rate = value
        else:
            sound = load_audio(value, mono=False)
            samples, rate = sound.samples, sound.rate
        return kind.sound(samples, rate, dose), rate
    import torch

    from pytest_vidmetrics.core.frames import ALL_FRAMES
    from pytest_vidmetrics.media.video import read_clip

    assert kind.frames is not None, "what is neither exchanged nor sound is frames"
    clip = read_clip(value, ALL_FRAMES)
    # (frames, height, width, channels), as image code wants it
    pixels = clip.frames.permute(0, 2, 3, 1).contiguous().numpy()
    # Copied: the damage may return a view with negative strides, which torch refuses.
    frames = torch.from_numpy(kind.frames(pixels, dose).copy()).permute(0, 3, 1, 2)
    return Video(frames=frames, fps=clip.fps)
