"""What a metric is: declared facts that the engine reads, and :meth:`BaseMetric.compute`, which scores one sample.

Metrics of whole sets derive from :class:`~pytest_vidmetrics.metrics.sets.base.SetMetric`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pytest_vidmetrics.core.clips import KINDS, Kind
from pytest_vidmetrics.core.devices import spelled
from pytest_vidmetrics.core.errors import closest
from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.precision import Precise
from pytest_vidmetrics.networks.declared import networks_of

if TYPE_CHECKING:
    import torch


@functools.lru_cache(1024)
def _arguments(constructor: Callable[..., None]) -> tuple[str, ...]:
    return tuple(inspect.signature(constructor).parameters)[1:]


def _each_once(files: Iterable[Weights]) -> tuple[Weights, ...]:
    return tuple(dict.fromkeys(files))


_OF_RESULTS = ("corpus_score", "counted", "left_out", "remarks", "conditions", "corpus_details", "influences")
"""What is asked of the results of a corpus."""


class BaseMetric(Precise):
    """Base class of every metric.

    Class attributes are declarations that the engine and the gates read:

    - ``requires``: sample keys without which a sample is skipped, with the reason.
    - ``reads``: further keys that change the score when present. Both are part of the stored result's key.
    - ``requires_reference``: adds ``reference`` to ``requires`` (of per-sample metrics).
    - ``higher_is_better``, ``unit``, ``value_range``: direction and scale of the score.
    - ``binary``: the per-sample score is 0 or 1.
    - ``version``: changes whenever the same input may give another score.
    - ``noise_floor``: differences up to this much between machines are noise (``noise_source`` says who measured).
    - ``noise_between_processes``: scored twice by one process it is the same; ``--vidmetrics-calibrate`` starts a new
      process for each run.
    - ``neutral_shift``: how far changes that make nothing worse move the score; the default margin of its gates.
    - ``compares``: in what ``video`` and ``reference`` have to be alike where a metric reads both, see
      :data:`~pytest_vidmetrics.core.clips.KINDS`. All, for a metric that lays frame beside frame; a set metric reads
      no pairs, and a metric that brings both to one rate and length itself names none.
    - ``max_missing``: the share of samples that a corpus score may do without where a judge gave no answer that can
      be read (:meth:`~pytest_vidmetrics.core.types.MetricResult.unanswered`). Such a sample is left out on both sides
      of a comparison, and named.
    - ``counts_failures``: the score is a share of failures, whose gate allows what the exact binomial bound does.
    - ``by_name_only``: a group or ``all`` does not bring it in, as it costs too much to be run unasked: gigabytes of
      weights for a variant of another metric, or calls that are paid for. Or it reads files that few cases have.
    - ``min_n``: fewest scored samples from which a corpus score means something.
    - ``dependencies``: importable modules that must exist.
    - ``pixels``: ``"uint8"`` receives frames as decoded; ``"float32"`` receives them divided by 255.
    - ``neutral``: constructor arguments that do not change the score (batch sizes, cache paths).

    Networks are class attributes too: see :class:`~pytest_vidmetrics.networks.declared.Network`.

    Every constructor argument is stored in an attribute of the same name: :meth:`params` reads them back.
    """

    name: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    requires: ClassVar[tuple[str, ...]] = ("video",)
    reads: ClassVar[tuple[str, ...]] = ()
    requires_reference: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    value_range: ClassVar[tuple[float, float] | None] = None
    binary: ClassVar[bool] = False
    noise_floor: ClassVar[float] = 0.0
    noise_source: ClassVar[str] = ""
    noise_between_processes: ClassVar[bool] = False
    neutral_shift: ClassVar[NeutralShift | None] = None
    compares: ClassVar[tuple[Kind, ...]] = KINDS
    max_missing: float = 0.0
    counts_failures: ClassVar[bool] = False
    by_name_only: ClassVar[bool] = False
    min_n: ClassVar[int] = 1
    dependencies: ClassVar[Sequence[str]] = ()
    needs_gpu: ClassVar[bool] = False
    backbone: ClassVar[str | None] = None
    is_set_metric: ClassVar[bool] = False
    pixels: ClassVar[Literal["uint8", "float32"]] = "float32"
    neutral: ClassVar[frozenset[str]] = frozenset({"chunk_size"})
    small_operations: ClassVar[bool] = False
    """Whether, without a network, it does too little at a time for several threads of the processor."""

    chunk_size: int | None = None
    """Most units of a clip that go through a network together; ``None``: as many as :meth:`chunk` finds room for."""
    local_weights: Mapping[str, str] | None = None
    """Local files in place of published ones, by their names: see :meth:`load_from`."""
    chunk_used: int = 0
    """What :meth:`chunk` returned last."""

    _device: str = "cpu"

    @property
    def device(self) -> str:
        """Where the metric computes; ``"cpu"`` until :meth:`to` is called."""
        return self._device

    def to(self, device: torch.device | str) -> Self:
        """Set the device. Called before :meth:`setup`."""
        self._device = spelled(device)
        return self

    def setup(self) -> None:
        """Load the declared networks. Idempotent.

        Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError`.
        """
        for name, network in networks_of(type(self)):
            if network.weights(self):
                getattr(self, name)

    def chunk(self, count: int, each: int, on_processor: int) -> int:
        """Return how many of ``count`` frames, pairs or windows go through the network together.

        On a GPU as many as its free memory holds at ``each`` bytes at the peak, elsewhere ``on_processor``; never more
        than ``chunk_size``. When memory runs out all the same, the engine halves ``chunk_size``.
        """
        from pytest_vidmetrics.networks.chunks import at_once

        self.chunk_used = at_once(self.chunk_size, count, each, self.device, on_processor)
        return self.chunk_used

    def check_size(self, height: int, width: int, device: str) -> None:
        """Refuse frames that do not fit into the memory of a device, before a clip is decoded for nothing.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` with what is needed and what is there.
        """

    def frames(self) -> FrameRequest:
        """Return which frames of ``video`` and ``reference`` are read."""
        return ALL_FRAMES

    def measured_shift(self) -> NeutralShift | None:
        """Return the neutral shift of this configuration: ``neutral_shift``, unless parameters change the scale."""
        return self.neutral_shift

    def networks(self) -> tuple[str, ...]:
        """Return the names of the declared networks that this configuration loads."""
        return tuple(network.name for _, network in networks_of(type(self)) if network.weights(self))

    @classmethod
    def has_networks(cls) -> bool:
        """Whether the class declares networks, whose files ``weights=`` can replace."""
        return any(True for _ in networks_of(cls))

    def load_from(self, weights: str | Mapping[str, str]) -> None:
        """Load local files in place of published ones: of the only file, or by the names of files.

        Call it before the first score. Raises ``ValueError`` for a name that this configuration does not load, and for
        one path where it loads several files.
        """
        names = [one.name for one in self.weights_files()]
        if isinstance(weights, str) and len(names) != 1:
            raise ValueError(f"{self.name} loads {', '.join(names) or 'no file'}: give weights = {{name = path}}")
        given = {names[0]: weights} if isinstance(weights, str) else dict(weights)
        for name in given:
            if name not in names:
                raise ValueError(f"{self.name} loads no file {name!r}{closest(name, names)} (but: {', '.join(names)})")
        self.local_weights = given

    def weights_files(self) -> tuple[Weights, ...]:
        """Return the weights that this configuration loads: those of its declared networks, each once."""
        return _each_once(one for _, network in networks_of(type(self)) for one in network.weights(self))

    @classmethod
    def every_weights(cls) -> tuple[Weights, ...]:
        """Return the weights that any configuration can load."""
        declared = _each_once(one for _, network in networks_of(cls) for one in network.files)
        # Who overrides weights_files declares no networks.
        return declared or cls().weights_files()

    def required_keys(self) -> tuple[str, ...]:
        """Return the sample keys without which a sample is skipped."""
        extra = ("reference",) if self.requires_reference and not self.is_set_metric else ()
        return tuple(dict.fromkeys((*self.requires, *extra)))

    def params(self) -> dict[str, Any]:
        """Return the constructor arguments that change the score, as JSON values."""
        if type(self).__init__ is object.__init__:
            return {}
        names = _arguments(type(self).__init__)
        return {name: getattr(self, name) for name in names if name not in self.neutral}

    def identity(self) -> dict[str, Any]:
        """Return what makes two scores comparable, apart from weights and decoder: name, version, params.

        And the precision, where it moves the score by more than the noise floor.
        """
        return {"name": self.name, "version": self.version, "params": self.params(), **self.rounding()}

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one sample whose required keys are present."""
        raise NotImplementedError(f"{type(self).__name__} must implement compute(sample)")

    def counted(self, results: Mapping[str, MetricResult]) -> Mapping[str, MetricResult]:
        """Return those of a corpus's scored results, by sample id, that make up its score: all unless overridden."""
        return results

    def left_out(self, result: MetricResult) -> bool:
        """Whether a clip that has no score belongs to the corpus all the same, whose score is defined without it.

        No clip is unless overridden: what has no score is a fault of the corpus. Those left out are counted and said.
        """
        del result
        return False

    def remarks(self, results: Mapping[str, MetricResult]) -> tuple[str, ...]:
        """Return what a reviewer of the corpus score should know, one sentence each."""
        del results
        return ()

    def conditions(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        """Return what only the results know and comparable scores have in common, as JSON values: nothing by default.

        A judge whose answers depend on the kind of device names it here: it becomes part of the recorded identity.
        """
        del results
        return {}

    def corpus_details(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        """Return what a report shows beside the score of a corpus, as JSON values: nothing by default."""
        del results
        return {}

    def looks_at_details(self) -> bool:
        """Return whether the score of a corpus needs more of its clips than their scores.

        Of very many clips the details are dropped where it does not. It does for a metric that overrides what is asked
        of the results of a corpus, unless that metric says otherwise.
        """
        return any(getattr(type(self), name) is not getattr(BaseMetric, name) for name in _OF_RESULTS)

    def influences(self, results: Mapping[str, MetricResult]) -> Mapping[str, float] | None:
        """Return how much each clip raises the corpus score where that is not the mean of the clips' scores.

        A metric that overrides it is compared by influences, as set metrics are: to first order the score moves by
        their sum. ``None``, the default: there are none.
        """
        del results
        return None

    def corpus_score(self, results: Mapping[str, MetricResult]) -> float | None:
        """Return the score of a whole corpus from its scored results by sample id: the mean of those that count.

        ``None`` when there is none. A benchmark that reduces its samples in another way does so here.
        """
        scores = [result.score for result in self.counted(results).values() if result.score is not None]
        try:
            return math.fsum(scores) / len(scores) if scores else None
        except OverflowError:  # the sum is no float, their mean is one
            return math.fsum(score / len(scores) for score in scores)

    def _skip(self, sample: Mapping[str, Any], reason: str) -> MetricResult:
        """Return a skipped result with the reason."""
        del sample
        return MetricResult.skipped(self.name, reason)
