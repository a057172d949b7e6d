"""The Fréchet distance between two Gaussians fitted to feature rows, without a matrix square root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, eigvalsh, lapack

Rows = NDArray[np.float64]
_ROUNDING = 1e-9
_CHUNK = 320
_EPSILON = float(np.finfo(np.float64).eps)


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
    mean_term = float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum())
    # Enough rows for full rank on both sides: one Cholesky factor and an eigenvalue problem are faster.
    if min(len(a), len(b)) > a.shape[1]:
        quick = _from_covariances(a, b, ddof, mean_term)
        if quick is not None:
            return Frechet(mean_term, quick)
    fa, fb = factor(a, ddof), factor(b, ddof)
    traces = float(np.square(fa).sum() + np.square(fb).sum())
    term = traces - 2.0 * float(np.linalg.svd(reduced(fa) @ reduced(fb).T, compute_uv=False).sum())
    if term < -_ROUNDING * max(traces, np.finfo(np.float64).tiny):
        raise ArithmeticError(f"the covariance term is {term} for a total variance of {traces}")
    return Frechet(mean_term, max(term, 0.0))


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
    # Infinities and NaN are looked for below, without numpy's warnings.
    with np.errstate(over="ignore", invalid="ignore"):
        sums = rows.sum(axis=0)
    # A finite sum of finite numbers is the usual case, and costs no (N, D) mask.
    if not (np.isfinite(sums).all() or np.isfinite(rows).all()):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))[:5]
        names = [owners[i] for i in bad] if owners else [f"row {i}" for i in bad]
        raise ValueError(f"features are not finite: {', '.join(names)}")
    return rows


def factor(rows: Rows, ddof: int = 1) -> Rows:
    """Return ``F = (X - mean) / sqrt(N - ddof)``, ``(N, D)``: ``F^T F`` is the covariance."""
    centred: Rows = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - ddof)
    return centred


def _from_covariances(a: Rows, b: Rows, ddof: int, mean_term: float) -> float | None:
    """Return the covariance term from ``L^T S2 L`` with ``S1 = L L^T``, all in lower triangles.

    Rounding moves the eigenvalues of the product by up to ``eps |S1| |S2|`` and the root of a small one by far more.
    ``None`` where these errors, taken as independent, are not small beside the distance.
    """
    one, two = _lower_covariance(a, ddof), _lower_covariance(b, ddof)
    lower, info = lapack.dpotrf(one, lower=1)
    # Not positive definite: the general way handles singular covariances.
    if info != 0:
        return None
    # L^T S2 L has the eigenvalues of S1 S2 and is symmetric.
    product, _ = lapack.dsygst(two, lower, itype=2, lower=1)
    values = eigvalsh(product, lower=True, overwrite_a=True, check_finite=False)
    if not values[0] > 0.0:
        return None
    roots = np.sqrt(values)
    term = float(np.trace(one) + np.trace(two) - 2.0 * roots.sum())
    error = _EPSILON * float(np.linalg.norm(one) * np.linalg.norm(two) * np.linalg.norm(1.0 / roots))
    return term if error <= _ROUNDING * (mean_term + term) else None


def _lower_covariance(rows: Rows, ddof: int) -> Rows:
    """Return the lower triangle of the covariance; centred rows are never held all at once."""
    mean = rows.mean(axis=0)
    total: Rows = np.zeros((rows.shape[1], rows.shape[1]), order="F")
    space = np.empty((min(len(rows), _CHUNK), rows.shape[1]))
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        part = np.subtract(chunk, mean, out=space[: len(chunk)])
        # Rows in C order are the transposed matrix in Fortran's: no copy.
        total = blas.dsyrk(1.0 / (len(rows) - ddof), part.T, beta=1.0, c=total, lower=1, overwrite_c=1)
    return total


def reduced(rows: Rows) -> Rows:
    """Return a factor of the same ``F^T F`` with at most D rows."""
    if len(rows) <= rows.shape[1]:
        return rows
    # Q drops out of F^T F = R^T R, so that R alone is enough.
    upper: Rows = np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
    return upper
