"""The Fréchet distance between two Gaussians fitted to feature rows, without a matrix square root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Frechet:
    """``distance = mean_term + covariance_term``, the second being ``tr(S1 + S2 - 2 (S1 S2)^1/2)``."""

    mean_term: float
    covariance_term: float

    @property
    def distance(self) -> float:
        """The squared Fréchet distance, as FID and FVD report it."""
        return self.mean_term + self.covariance_term


def frechet(first: Rows, second: Rows) -> Frechet:
    """Return the Fréchet distance of two feature sets, ``(N, D)`` each, with covariances of ``N - 1`` (ddof 1).

    With centred factors ``F = (X - mean) / sqrt(N - 1)`` the cross term is the nuclear norm of ``F1 F2^T``. That
    holds for any N, singular covariances included, and never leaves the real numbers (Dowson & Landau 1982).

    Raises ``ValueError`` for fewer than two rows, other widths, or values that are not finite.
    """
    a, b = _checked(first), _checked(second)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"the sets have {a.shape[1]} and {b.shape[1]} features a row: not one extractor")
    mean_gap = a.mean(axis=0) - b.mean(axis=0)
    fa, fb = factor(a), factor(b)
    cross = np.linalg.svd(fa @ fb.T, compute_uv=False).sum()
    traces = float(np.square(fa).sum() + np.square(fb).sum())
    return Frechet(float(mean_gap @ mean_gap), traces - 2.0 * float(cross))


def _checked(rows: Rows) -> Rows:
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"a Fréchet distance needs at least 2 rows of features on either side, got {rows.shape}")
    if not np.isfinite(rows).all():
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        raise ValueError(f"features are not finite in rows {bad[:5].tolist()}")
    return rows


def factor(rows: Rows) -> Rows:
    """Return ``F`` with ``F^T F`` the covariance of ``rows``: the centred rows, or their R factor when N > D."""
    centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    if len(rows) <= rows.shape[1]:
        return centred
    upper: Rows = np.linalg.qr(centred, mode="r")
    return upper


def influence(first: Rows, second: Rows) -> Rows:
    """Return how much each row of ``first`` contributes to the distance, ``(N,)``, with mean zero.

    The first-order influence function ``2 d.x + x^T (I - T) x - mean`` with ``x`` the centred row, ``d`` the gap
    of the means and ``T`` the optimal transport map from the first Gaussian to the second. Its standard deviation
    over ``sqrt(N)`` is a standard error of the distance for a fixed reference.
    """
    a, b = _checked(first), _checked(second)
    gap = a.mean(axis=0) - b.mean(axis=0)
    centred = a - a.mean(axis=0)
    transport = _transport(
        np.cov(a, rowvar=False).reshape(a.shape[1], -1), np.cov(b, rowvar=False).reshape(b.shape[1], -1)
    )
    quadratic = np.einsum("nd,nd->n", centred - centred @ transport, centred)
    values: Rows = 2.0 * centred @ gap + quadratic
    values -= values.mean()
    return values


def _transport(source: Rows, target: Rows) -> Rows:
    root = _power(target, 0.5)
    transport: Rows = root @ _power(root @ source @ root, -0.5) @ root
    return transport


def _power(matrix: Rows, exponent: float) -> Rows:
    """Return a power of a symmetric positive semidefinite matrix; zero eigenvalues stay zero."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    keep = values > values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
    powers = np.where(keep, np.where(keep, values, 1.0) ** exponent, 0.0)
    result: Rows = (vectors * powers) @ vectors.T
    return result
