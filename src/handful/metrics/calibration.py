"""Calibration: how far stated probabilities are from what comes true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.metrics.intervals import Interval

_DIAGRAM_BINS = 10  # of a reliability diagram: few enough that each holds some photos
_RESAMPLES = 200


@dataclass(frozen=True)
class Reliability:
    """Data of a reliability diagram: predictions in bins of equally many, by rising confidence.

    Attributes:
        confidence: float (b,), mean stated probability of each bin.
        accuracy: float (b,), share of each bin that was right.
        count: int (b,), predictions in each bin.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "confidence": self.confidence.tolist(),
            "accuracy": self.accuracy.tolist(),
            "count": self.count.tolist(),
        }


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = _DIAGRAM_BINS) -> Reliability:
    """Sort predictions into bins of equal size; fewer bins where there are fewer predictions.

    Args:
        confidence: float (n,), the probability given to the predicted class; n at least 1.
        right: bool or float (n,), whether it was the label.
        bins: how many.
    """
    order = np.argsort(confidence, kind="stable")
    return _in_bins(confidence[order].astype(np.float64), right[order].astype(np.float64), bins)


def _in_bins(confidence: np.ndarray, right: np.ndarray, bins: int) -> Reliability:
    """The same of rows sorted by confidence."""
    n = len(confidence)
    edges = np.linspace(0, n, min(bins, n) + 1).round().astype(np.int64)
    count = np.diff(edges)
    return Reliability(
        np.add.reduceat(confidence, edges[:-1]) / count, np.add.reduceat(right, edges[:-1]) / count, count
    )


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over bins, in [0, 1].

    The bins hold equally many predictions, and are as many as leave their accuracies in rising order. A fixed
    number overstates the error where predictions are few: a bin of ten is off by chance alone.

    Args:
        confidence: float (n,), n at least 1.
        right: bool or float (n,).

    Source: the monotonic sweep of Roelofs et al. 2022, "Mitigating bias in calibration error estimation",
    AISTATS; the error itself after Guo et al. 2017, arXiv 1706.04599.
    """
    order = np.argsort(confidence, kind="stable")
    return _swept(confidence[order].astype(np.float64), right[order].astype(np.float64))


def _swept(confidence: np.ndarray, right: np.ndarray) -> float:
    found = _in_bins(confidence, right, 1)
    for bins in range(2, len(confidence) + 1):
        finer = _in_bins(confidence, right, bins)
        if (np.diff(finer.accuracy) < 0).any():
            break
        found = finer
    return float((found.count * np.abs(found.confidence - found.accuracy)).sum() / len(confidence))


def calibration_error_interval(
    confidence: np.ndarray, right: np.ndarray, groups: np.ndarray | None = None, seed: int = 0
) -> Interval:
    """Expected calibration error with a 95 % interval.

    Args:
        confidence: float (n,), n at least 1.
        right: bool or float (n,).
        groups: int (n,), rows that are drawn together; None: each by itself.
        seed: of the resampling.

    Source: bootstrap quantiles, plain and reflected (Davison and Hinkley 1997, Bootstrap Methods and their
    Application, section 5.2). The limits hold both: resampling adds error of its own, so the plain ones lie
    too high, and the reflected ones too low where the error is near 0.
    """
    order = np.argsort(confidence, kind="stable")
    confidence, right = confidence[order].astype(np.float64), right[order].astype(np.float64)
    units = np.arange(len(order)) if groups is None else np.unique(groups, return_inverse=True)[1][order]
    total = int(units.max()) + 1
    rng = np.random.default_rng(seed)
    value = _swept(confidence, right)
    drawn = []
    for _ in range(_RESAMPLES):
        often = np.bincount(rng.integers(total, size=total), minlength=total)[units]
        rows = np.repeat(np.arange(len(units)), often)
        drawn.append(_swept(confidence[rows], right[rows]))
    far = float(np.abs(np.quantile(drawn, [0.025, 0.975]) - value).max())
    return Interval(value, max(0.0, value - far), min(1.0, value + far))
