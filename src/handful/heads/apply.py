"""The new final layer on features: the one way in which it is applied, in training and in prediction."""

from __future__ import annotations

import numpy as np

from handful.metrics.scores import softmax


def apply_head(features: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Turn pooled features into probabilities.

    The sums are in float64: a row gets the same answer alone and among others, whatever order the
    machine adds in.

    Args:
        features: float32 (n, d).
        weights: float32 (d, k).
        bias: float32 (k,).

    Returns:
        float32 (n, k), rows sum to 1.
    """
    return softmax(features.astype(np.float64) @ weights.astype(np.float64) + bias)
