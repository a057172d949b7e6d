"""What the set metrics of sounds share: an embedding per clip, cached references, and clips that were left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.passt_metric import PasstMetric
from pytest_vidmetrics.metrics.audio.passt_protocol import Compat, Protocol, choose
from pytest_vidmetrics.metrics.sets.corpus import CacheMode, CorpusMetric
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet
from pytest_vidmetrics.metrics.sets.reference_files import References, Seen, read

if TYPE_CHECKING:
    import numpy as np


DIMENSION = 768
PROTOCOLS = {
    "fastvideo": Protocol(windows="first"),
    "av-benchmark": Protocol(windows="first", peak_normalise=False, remove_mean=True),
}
_TENSOR_SUFFIXES = (".pt", ".pth")


class SoundSetMetric(PasstMetric, CorpusMetric):
    """A metric of one PaSST embedding per clip. Metrics of the same protocol share stored rows.

    ``compat="fastvideo"`` normalises the peak to -1 dBFS, ``"av-benchmark"`` subtracts the mean; both read the first
    10 s, padded with zeros. ``protocol`` replaces single rules
    (:class:`~pytest_vidmetrics.metrics.audio.passt_protocol.Protocol`); with ``windows="all"`` the row is the mean of
    the windows' embeddings. ``weights`` is a local file to use instead of the published weights.

    ``cache_path`` and ``cache_mode`` are those of :class:`CorpusMetric`, with ``$FASTVIDEO_FAD_REF_FEATURES``. A named
    ``.pt`` or ``.pth`` file is only read: an ``(N, 768)`` tensor, or a dict of one ``(768,)`` tensor per clip. It
    says nothing about its protocol and weights: whoever names it vouches for them.

    A clip without sound is left out with the reason, and so is silence where the peak is normalised.
    """

    requires: ClassVar[tuple[str, ...]] = ("audio",)
    higher_is_better: ClassVar[bool] = False
    dependencies: ClassVar[tuple[str, ...]] = ("hear21passt",)
    backbone: ClassVar[str | None] = "passt"
    environment: ClassVar[str] = "FASTVIDEO_FAD_REF_FEATURES"
    folder: ClassVar[str] = "fad"
    given: ClassVar[str] = "samples"

    def __init__(
        self,
        compat: Compat = "fastvideo",
        protocol: Mapping[str, Any] | None = None,
        weights: str | None = None,
        cache_path: str | None = None,
        cache_mode: CacheMode = "read_write",
    ) -> None:
        self.check_mode(cache_mode)
        self.rules = choose(PROTOCOLS, compat, protocol)
        self.compat = compat
        self.protocol = dict(protocol) if protocol else None
        self.weights = weights
        self.cache_path = cache_path
        self.cache_mode = cache_mode

    def feature_identity(self) -> dict[str, Any]:
        """Return what a stored row depends on: the same for every metric of this kind."""
        return {"features": "passt", "version": "1", **self.rules.values(), **self.rounding()}

    def features(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the ``(1, 768)`` float64 embedding of the sound in ``sample["audio"]``.

        Raises :class:`~pytest_vidmetrics.core.errors.NoAudioStreamError` and its subclass ``SilentAudioError``.
        """
        import numpy as np

        from pytest_vidmetrics.metrics.audio.passt_sound import hear

        heard = hear(self._network, sample["audio"], "audio", self.rules)
        rows = np.stack([window.embedding for window in heard.windows]).astype(np.float64)
        return rows.mean(axis=0, keepdims=True)

    def read_named(self, path: Path, key: str, dimension: int) -> References:
        """Return the references of a named file: of this package, or a bare tensor."""
        return read_tensor(path) if path.suffix in _TENSOR_SUFFIXES else read(path, key, dimension)

    def named_clips(self, path: Path, key: str) -> Clips:
        """Return what reads the references of a named file; a bare tensor is read whole."""
        return read_tensor(path).clips if path.suffix in _TENSOR_SUFFIXES else super().named_clips(path, key)

    def write_named(self, path: Path, key: str, references: References | Seen) -> None:
        """Write the references of a run to a named file, unless it is to hold a bare tensor."""
        if path.suffix not in _TENSOR_SUFFIXES:
            super().write_named(path, key, references)

    def too_few(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult | None:
        """Return a skip when either set has fewer than two clips."""
        counts = [len(features.ids) for features in (candidate, reference)]
        if min(counts) >= 2:
            return None
        reason = f"at least 2 clips with sound are needed on either side, got {counts[0]} generated and {counts[1]}"
        return MetricResult.skipped(self.name, f"{reason} of the reference")

    def checked(self, features: FeatureSet) -> np.ndarray:
        """Return the rows. Raises ``ValueError`` naming clips that are not finite."""
        from pytest_vidmetrics.stats.frechet import checked

        return checked(features.rows, features.owners)

    def facts(self, candidate: FeatureSet, reference: FeatureSet) -> dict[str, Any]:
        """Return what every result of this kind says about its inputs."""
        return {"n_gen": len(candidate.ids), "n_ref": len(reference.ids), "dimension": DIMENSION}

    def score_against(
        self, candidate: FeatureSet, reference: FeatureSet, left_out: Mapping[str, int], *, named_only: bool = False
    ) -> MetricResult:
        """Score the rows of a run, see :meth:`CorpusMetric.score_against`.

        ``details["n_gen_dropped_nonfinite"]`` and ``details["n_ref_dropped_nonfinite"]`` count the clips that have no
        row: without sound, silent, too short, or with an embedding that is not finite.
        """
        result = super().score_against(candidate, reference, left_out, named_only=named_only)
        return self._with_dropped(result, left_out)

    def score_streamed(self, candidate: Clips, reference: Clips | None, threads: int = 1) -> MetricResult:
        """Score two sets, see :meth:`CorpusMetric.score_streamed`: no clip without a row gets here."""
        return self._with_dropped(super().score_streamed(candidate, reference, threads), {})

    def _with_dropped(self, result: MetricResult, left_out: Mapping[str, int]) -> MetricResult:
        sides = {"n_gen": "generated", "n_ref": "reference"}
        dropped = {f"{key}_dropped_nonfinite": left_out.get(role, 0) for key, role in sides.items()}
        return MetricResult(self.name, result.score, {**result.details, **dropped}, result.status)

    def said(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was found of sets that were never held, under the names of this kind."""
        sides = {"n_gen": found["n_generated"], "n_ref": found["n_reference"]}
        return {**sides, **{key: value for key, value in found.items() if key not in {"n_generated", "n_reference"}}}


def read_tensor(path: Path) -> References:
    """Return the references of a torch file: an ``(N, 768)`` tensor, or a dict of ``(768,)`` tensors by clip.

    Raises ``ValueError`` for something else, and for numbers that are not finite.
    """
    import numpy as np
    import torch

    from pytest_vidmetrics.networks.state_files import WeightsFileError, read_value

    try:
        loaded = read_value(path)
    except (OSError, WeightsFileError) as error:
        raise ValueError(f"{path} holds no reference features: {error}") from error
    if isinstance(loaded, dict):
        names = [str(name) for name in loaded]
        parts = [part.reshape(-1) for part in loaded.values() if isinstance(part, torch.Tensor)]
        same = len(parts) == len(names) and len({part.shape for part in parts}) == 1
        # (N, 768), or nothing where the tensors are not one of one shape for each clip
        loaded = torch.stack(parts) if same else torch.empty(0)
    else:
        # Numbers of fixed width: their order as text is that of the rows.
        names = [f"{i:08d}" for i in range(len(loaded))] if isinstance(loaded, torch.Tensor) and loaded.ndim else []
    if not isinstance(loaded, torch.Tensor) or loaded.ndim != 2 or loaded.shape[1] != DIMENSION:
        shape = tuple(loaded.shape) if isinstance(loaded, torch.Tensor) else type(loaded).__name__
        raise ValueError(f"{path} holds {shape}: expected one row of {DIMENSION} numbers per clip")
    rows: np.ndarray = loaded.double().numpy()
    if not np.isfinite(rows).all():
        raise ValueError(f"{path} holds rows that are not finite numbers")
    # By name, as a set of features is ordered wherever it comes from.
    order = sorted(range(len(names)), key=lambda i: names[i])
    return References(FeatureSet(rows[order], tuple(names[i] for i in order)))
