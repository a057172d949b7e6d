"""Names of 16 bytes in order: a million of them take 24 MB, and are looked up by the hundred thousand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 16


def short_name(text: str) -> bytes:
    """Return what stands for a text: the beginning of its sha256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:SIZE]


class Names:
    """Names, one after the other in ``data``, each with its number. Equal ones are in the order of their numbers."""

    def __init__(self, data: bytes) -> None:
        import numpy as np

        high, low = _halves(data)
        self._numbers: NDArray[Any] = np.lexsort((low, high))
        self._high, self._low = high[self._numbers], low[self._numbers]

    def find(self, wanted: Iterable[bytes]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return for each wanted name the number of the first one that equals it, -1 for none, and how many there are.

        Of equal names more than two count as two.
        """
        import numpy as np

        high, low = _halves(b"".join(wanted))
        at = np.searchsorted(self._high, high)
        last = len(self._numbers) - 1
        if last < 0:
            return np.full(len(high), -1), np.zeros(len(high), dtype=np.int64)
        # Where first halves are equal, which is as rare as it is possible, the second ones are in order.
        while True:
            here = np.minimum(at, last)
            further = (at <= last) & (self._high[here] == high) & (self._low[here] < low)
            if not further.any():
                break
            at = at + further
        found = (at <= last) & self._is(here, high, low)
        again = found & (at < last) & self._is(np.minimum(at + 1, last), high, low)
        return np.where(found, self._numbers[here], -1), found.astype(np.int64) + again

    def _is(self, at: NDArray[Any], high: NDArray[Any], low: NDArray[Any]) -> NDArray[Any]:
        return (self._high[at] == high) & (self._low[at] == low)


def _halves(data: bytes) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    pairs = np.frombuffer(data, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return pairs[:, 0], pairs[:, 1]
