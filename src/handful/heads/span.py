"""Features in coordinates in which a penalised linear fit is small and well conditioned.

A penalised fit never leaves the span of its rows, so 200 photos with 1,280 features are a problem of at
most 200 coordinates. Rotating into the span changes no prediction and no penalty: it is a change of
coordinates, exact for every subset of the rows, so all folds share one rotation without sharing labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Directions below this share of the largest variance are rounding, not signal (float32 features).
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True)
class Span:
    """Centred, scaled and rotated features.

    Attributes:
        rows: float64 (n, r + 1): coordinates, and a last column of ones for the bias.
        basis: float64 (d, r), orthonormal columns.
        centre: float64 (d,), subtracted before rotating. Centring only moves the bias, which is not
            penalised, so it gives no information about a left-out row to the others.
        scale: one positive number, the root mean square of the centred features; fits measure their
            penalty by the rows they count, so it decides nothing.
    """

    rows: np.ndarray
    basis: np.ndarray
    centre: np.ndarray
    scale: float


def into_span(features: np.ndarray) -> Span:
    """Rotate features float32 (n, d) into their own span, r = min(n, d) or less."""
    wide = features.astype(np.float64)
    centre = wide.mean(axis=0)
    wide -= centre
    scale = float(np.sqrt(np.mean(wide**2))) or 1.0
    wide /= scale
    basis = _basis(wide)
    rows = np.hstack([wide @ basis, np.ones((len(wide), 1))])
    return Span(rows, basis, centre, scale)


def _basis(centred: np.ndarray) -> np.ndarray:
    """Orthonormal basis (d, r) of the row space, by the smaller of the two Gram matrices."""
    n, d = centred.shape
    if n >= d:
        # Any orthonormal basis will do, to rounding: float32 is the faster one.
        narrow = centred.astype(np.float32)
        values, vectors = np.linalg.eigh(narrow.T @ narrow)
        return vectors[:, _kept(values)].astype(np.float64)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    kept = _kept(values)
    return centred.T @ (vectors[:, kept] / np.sqrt(values[kept]))


def _kept(values: np.ndarray) -> np.ndarray:
    """Positions of the eigenvalues that matter, largest first."""
    order = np.argsort(values)[::-1]
    return order[values[order] > _NEGLIGIBLE * max(values[order[0]], 0.0)]


def out_of_span(span: Span, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn coefficients (r + 1, k) on the span into a plain layer on raw features.

    Returns:
        weights float32 (d, k) and bias float32 (k,): logits = features @ weights + bias.
    """
    weights = span.basis @ coefficients[:-1] / span.scale
    bias = coefficients[-1] - span.centre @ weights
    # The softmax does not see a constant added to all classes; centring keeps float32 rounding small.
    weights -= weights.mean(axis=1, keepdims=True)
    bias -= bias.mean()
    return weights.astype(np.float32), bias.astype(np.float32)
