"""How a sound becomes the windows that PaSST reads: gain, cutting and padding, as two evaluation suites do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import closest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

RATE = 32000
Compat = Literal["fastvideo", "av-benchmark"]


@dataclass(frozen=True)
class Window:
    """Samples ``start`` to ``stop`` at 32 kHz, followed by ``zeros`` zeros."""

    start: int
    stop: int
    zeros: int

    def of(self, samples: Samples) -> Samples:
        """Return the window's samples, as they are fed to the network."""
        import numpy as np

        return np.pad(samples[self.start : self.stop], (0, self.zeros))


@dataclass(frozen=True)
class Protocol:
    """Rules for mono samples at 32 kHz.

    ``peak_normalise`` brings the largest magnitude to -1 dBFS (a silent sound is refused), ``remove_mean`` subtracts
    the mean of the whole sound. ``windows`` is ``"first"`` (one window at the start; the rest is not read) or
    ``"all"`` (a window of ``window_s`` every ``hop_s``, the last one reaching the end). A window with more than
    ``pad_above_s`` but less than ``window_s`` of sound is padded with zeros; a shorter one is fed as it is. Raises
    ``ValueError`` for rules that nobody can follow.
    """

    peak_normalise: bool = True
    remove_mean: bool = False
    windows: Literal["first", "all"] = "all"
    window_s: float = 10.0
    hop_s: float = 5.0
    pad_above_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the rules."""
        one_of("windows", self.windows, ("first", "all"))
        for rule in ("peak_normalise", "remove_mean"):
            if type(getattr(self, rule)) is not bool:
                raise ValueError(f"{rule} must be true or false, got {getattr(self, rule)!r}")
        if not 0.15 < self.window_s <= 10.05:
            raise ValueError(f"window_s must be above 0.15 and at most 10.05, got {self.window_s}")
        if not 0.0 < self.hop_s <= self.window_s:
            raise ValueError(f"hop_s must be above 0 and at most window_s, got {self.hop_s}")
        if not 0.0 <= self.pad_above_s <= self.window_s:
            raise ValueError(f"pad_above_s must be between 0 and window_s, got {self.pad_above_s}")

    def level(self, samples: Samples) -> Samples:
        """Return ``(N,)`` float32 samples without mean and with the wanted gain, as the rules say.

        Raises :class:`~pytest_vidmetrics.core.errors.SilentAudioError` for silence that cannot be normalised.
        """
        import numpy as np

        from pytest_vidmetrics.metrics.audio.waveform import peak_normalise

        if self.remove_mean:
            samples = (samples - samples.mean(dtype=np.float64)).astype(np.float32)
        return peak_normalise(samples) if self.peak_normalise else samples

    def cut(self, count: int) -> tuple[Window, ...]:
        """Return the windows of a sound of ``count`` samples; at least one."""
        width, hop = round(self.window_s * RATE), round(self.hop_s * RATE)
        # A window is added only where the one before does not reach the end.
        last = max(hop, count - (width - hop)) if self.windows == "all" else 1
        return tuple(self._window(start, min(start + width, count), width) for start in range(0, last, hop))

    def unread(self, count: int) -> int:
        """Return how many samples at the end of a sound lie in no window."""
        return count - self.cut(count)[-1].stop

    def _window(self, start: int, stop: int, width: int) -> Window:
        padded = stop - start > round(self.pad_above_s * RATE)
        return Window(start, stop, width - (stop - start) if padded else 0)

    def values(self) -> dict[str, Any]:
        """Return the rules as JSON values."""
        return asdict(self)


def choose(named: Mapping[str, Protocol], compat: str, changes: Mapping[str, Any] | None) -> Protocol:
    """Return the rules called ``compat``, with single rules replaced by ``changes``.

    Raises ``ValueError`` for another name, another rule, or rules that contradict each other.
    """
    one_of("compat", compat, named)
    known = [field.name for field in fields(Protocol)]
    for rule in changes or {}:
        if rule not in known:
            raise ValueError(f"unknown rule {rule!r}{closest(rule, known)} (rules: {', '.join(known)})")
    return replace(named[compat], **(changes or {}))
