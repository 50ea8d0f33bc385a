"""Which photos teach most when they are labelled."""

from __future__ import annotations

import numpy as np

from handful.errors import DataError

_TINY = 1e-12


def rank_to_label(features: np.ndarray, probabilities: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Choose photos that the model is unsure of and that differ from each other.

    Each photo stands for the gradient that its most probable label would send to the new layer: long where
    the model is unsure, and pointing elsewhere where the photo is another. Photos are drawn one by one with a
    probability proportional to the squared distance from those drawn before (k-means++), starting from
    the longest. A photo that teaches nothing (no gradient) counts as drawn from the start, so that none of
    those the model is sure of is drawn for being different.

    Args:
        features: float32 (n, d).
        probabilities: float (n, k).
        count: how many to choose; n where there are fewer.
        seed: of the draws.

    Returns:
        int (count,), rows in the order in which to label them.

    Raises:
        DataError: shapes disagree.

    Source: BADGE, Ash et al. 2020, arXiv 1906.03671, algorithm 1; the distances are taken without writing the
    gradients down, since <a x b, c x d> = <a, c> <b, d>.
    """
    if len(features) != len(probabilities):
        raise DataError(
            f"Received {len(features)} rows of features and {len(probabilities)} of probabilities. "
            "Take both from the same photos."
        )
    wide = _centred(features)
    slopes = probabilities.astype(np.float64)
    slopes[np.arange(len(slopes)), slopes.argmax(axis=1)] -= 1
    length = (slopes**2).sum(axis=1) * (wide**2).sum(axis=1)
    rng = np.random.default_rng(seed)
    left = np.ones(len(features), dtype=bool)
    far = length.copy()
    chosen: list[int] = []
    for _ in range(min(count, len(features))):
        at = int(length.argmax()) if not chosen else _draw(np.where(left, far, 0), left, rng)
        chosen.append(at)
        left[at] = False
        product = (slopes @ slopes[at]) * (wide @ wide[at])
        far = np.minimum(far, np.maximum(length + length[at] - 2 * product, 0))
    return np.array(chosen, dtype=np.int64)


def _centred(features: np.ndarray) -> np.ndarray:
    """Features about their mean, of mean square length one, with the constant that the bias stands for."""
    wide = features.astype(np.float64)
    if not len(wide):
        return wide
    wide -= wide.mean(axis=0)
    wide /= max(float(np.sqrt((wide**2).sum(axis=1).mean())), _TINY)
    return np.hstack([wide, np.ones((len(wide), 1))])


def _draw(weights: np.ndarray, left: np.ndarray, rng: np.random.Generator) -> int:
    """A row that is left, by weight; any of them when none has weight."""
    total = np.cumsum(weights)
    if total[-1] <= _TINY:
        return int(rng.choice(np.flatnonzero(left)))
    return int(np.searchsorted(total, rng.random() * total[-1], side="right").clip(max=len(weights) - 1))
