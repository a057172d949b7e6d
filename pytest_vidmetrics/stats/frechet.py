"""The Fréchet distance between two Gaussians fitted to feature rows, without a matrix square root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
# Below this ratio of the extreme eigenvalues the square roots of a product lose digits: factors are used instead.
_WELL_CONDITIONED = 1e-6
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Frechet:
    """``distance = mean_term + covariance_term``, the second being ``tr(S1 + S2 - 2 (S1 S2)^1/2)``."""

    mean_term: float
    covariance_term: float

    @property
    def distance(self) -> float:
        """The squared Fréchet distance, as FID and FVD report it."""
        return self.mean_term + self.covariance_term


def frechet(first: Rows, second: Rows, *, ddof: int = 1) -> Frechet:
    """Return the Fréchet distance of two feature sets, ``(N, D)`` each, with covariances of ``N - ddof``.

    With centred factors ``F = (X - mean) / sqrt(N - ddof)`` the cross term is the nuclear norm of ``F1 F2^T``.
    That holds for any N, singular covariances included, and never leaves the real numbers (Dowson & Landau 1982).

    Raises ``ValueError`` for fewer than two rows, other widths, or values that are not finite.
    """
    a, b = checked_pair(first, second)
    gap = a.mean(axis=0) - b.mean(axis=0)
    fa, fb = factor(a, ddof), factor(b, ddof)
    traces = float(np.square(fa).sum() + np.square(fb).sum())
    term = traces - 2.0 * _cross(fa, fb)
    if term < -_ROUNDING * max(traces, np.finfo(np.float64).tiny):
        raise ArithmeticError(f"the covariance term is {term} for a total variance of {traces}")
    return Frechet(float(gap @ gap), max(term, 0.0))


def checked_pair(first: Rows, second: Rows) -> tuple[Rows, Rows]:
    """Return both sets as float64. Raises ``ValueError`` as :func:`checked` does, and for different widths."""
    a, b = checked(first), checked(second)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"the sets have {a.shape[1]} and {b.shape[1]} features a row: not one extractor")
    return a, b


def checked(rows: Rows, owners: Sequence[str] | None = None) -> Rows:
    """Return ``(N, D)`` float64 rows.

    Raises ``ValueError`` for fewer than two, and for values that are not finite, naming up to five ``owners``.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"at least 2 rows of features are needed on either side, got {rows.shape}")
    if not np.isfinite(rows).all():
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))[:5]
        names = [owners[i] for i in bad] if owners else [f"row {i}" for i in bad]
        raise ValueError(f"features are not finite: {', '.join(names)}")
    return rows


def factor(rows: Rows, ddof: int = 1) -> Rows:
    """Return ``F = (X - mean) / sqrt(N - ddof)``, ``(N, D)``: ``F^T F`` is the covariance."""
    centred: Rows = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - ddof)
    return centred


def _cross(fa: Rows, fb: Rows) -> float:
    """Return ``tr (S1 S2)^1/2``."""
    if min(len(fa), len(fb)) > fa.shape[1]:
        values = _product_eigenvalues(fa, fb)
        if values is not None:
            return float(np.sqrt(values).sum())
    return float(np.linalg.svd(reduced(fa) @ reduced(fb).T, compute_uv=False).sum())


def _product_eigenvalues(fa: Rows, fb: Rows) -> Rows | None:
    """Return the eigenvalues of ``S1 S2``, or ``None`` when they are too spread for their roots to be exact."""
    try:
        lower = np.linalg.cholesky(fa.T @ fa)
    except np.linalg.LinAlgError:
        return None
    half = fb @ lower
    values: Rows = np.linalg.eigvalsh(half.T @ half)
    return values if values[0] > _WELL_CONDITIONED * values[-1] else None


def reduced(rows: Rows) -> Rows:
    """Return a factor of the same ``F^T F`` with at most D rows."""
    if len(rows) <= rows.shape[1]:
        return rows
    upper: Rows = np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
    return upper
