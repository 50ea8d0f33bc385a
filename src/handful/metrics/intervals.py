"""Intervals for proportions: how far the true value may lie from the one that was measured.

After cross-validation the folds share photos, so intervals that count rows as independent are a little too
narrow (benchmarks/coverage.py measures by how much). What says "cross-validation" beside an interval says
so too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from handful.plain import percent

_Z95 = 1.959963984540054  # normal quantile of 97.5 %


@dataclass(frozen=True)
class Interval:
    """A measured share with its 95 % interval; all three in [0, 1], or nan when nothing was measured."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """{"value", "low", "high"}, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "not measured"
        return f"{percent(self.value)} (95 % interval {100 * self.low:.1f} to {percent(self.high)})"


def wilson(right: float, n: float) -> Interval:
    """95 % score interval of a proportion.

    Args:
        right: successes, 0 to n; need not be whole.
        n: independent trials; 0 gives nan.

    Source: Wilson 1927, JASA 22(158); recommended for small n by Brown, Cai and DasGupta 2001.
    """
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    share, z2 = right / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(max(share * (1 - share), 0) / n + z2 / (4 * n * n))
    return Interval(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def accuracy_interval(confusion: np.ndarray, independent: int | None = None) -> Interval:
    """Accuracy of a confusion matrix int (k, k) with its Wilson interval.

    Args:
        confusion: counts of photos.
        independent: how many independent units the photos are, when copies and members of a group are
            among them: each unit counts as one trial. None: each photo is one.
    """
    total = int(confusion.sum())
    return _at(np.trace(confusion), total, total if independent is None else independent)


def _at(right: float, total: int, independent: int) -> Interval:
    """The share right / total with the interval that so many independent trials allow."""
    return wilson(right / total * independent, independent) if total else wilson(0, 0)


def balanced_accuracy_interval(confusion: np.ndarray, independent: np.ndarray | None = None) -> Interval:
    """Balanced accuracy of a confusion matrix int (k, k) with a 95 % interval.

    The limits of the classes' Wilson intervals are combined in quadrature around the mean recall.

    Args:
        confusion: counts of photos.
        independent: int (k,), independent units of each class; None: each photo is one.

    Source: the method of variance estimates recovery for a sum of independent estimates, Zou and Donner
    2008, Statistics in Medicine 27(10); with Wilson limits after Newcombe 2001.
    """
    counts = confusion.sum(axis=1)
    units = counts if independent is None else independent
    known = [_at(confusion[c, c], int(counts[c]), int(units[c])) for c in np.flatnonzero(counts)]
    if not known:
        return wilson(0, 0)
    middle = sum(i.value for i in known) / len(known)
    below = math.sqrt(sum((i.value - i.low) ** 2 for i in known)) / len(known)
    above = math.sqrt(sum((i.high - i.value) ** 2 for i in known)) / len(known)
    return Interval(middle, max(0.0, middle - below), min(1.0, middle + above))
