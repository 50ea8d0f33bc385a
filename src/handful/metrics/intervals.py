"""Intervals for proportions: how far the true value may lie from the one that was measured.

These are for predictions of one model on photos it was not trained on. After cross-validation the folds share
photos, and the intervals here are too narrow by themselves: `audit/intervals.py` says what to do then.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from handful.metrics.beta import beta_quantile
from handful.plain import percent

_Z95 = 1.959963984540054  # normal quantile of 97.5 %
_TAIL = 0.025  # what a 95 % interval leaves on each side
_NONE = 1e-9  # fewer successes than this are rounding


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


def exact_interval(share: float, trials: float) -> Interval:
    """95 % interval of a proportion that holds the truth at least that often, however close to 0 or 1 it is.

    Args:
        share: the measured proportion, in [0, 1].
        trials: how many independent trials tell as much; need not be whole, 0 gives nan. Where photos are
            not independent it is share (1 - share) / variance, the effective sample size.

    Source: Clopper and Pearson 1934, Biometrika 26(4); with an effective sample size after Korn and Graubard
    1998, Survey Methodology 24(2).
    """
    if not trials > 0 or math.isnan(share):
        return Interval(math.nan, math.nan, math.nan)
    right = share * trials
    wrong = trials - right
    low = beta_quantile(_TAIL, right, wrong + 1) if right > _NONE else 0.0
    high = beta_quantile(1 - _TAIL, right + 1, wrong) if wrong > _NONE else 1.0
    return Interval(share, min(low, share), max(high, share))


def accuracy_interval(confusion: np.ndarray, independent: int | None = None) -> Interval:
    """Accuracy of a confusion matrix int (k, k) with its Wilson interval.

    Args:
        confusion: counts of photos.
        independent: how many independent units the photos are, when copies and members of a group are
            among them: each unit counts as one trial. None: each photo is one.
    """
    total = int(confusion.sum())
    return _at(np.trace(confusion), total, total if independent is None else independent)


def _at(right: float, total: int, independent: float) -> Interval:
    """The share right / total with the interval that so many independent trials allow."""
    return wilson(right / total * independent, independent) if total else wilson(0, 0)


def units_per_class(labels: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray:
    """How many independent photos each class has, int (classes,): a group counts once in each class it has.

    Args:
        labels: int (n,).
        groups: int (n,), photos that are not independent of each other share a number.
        classes: k.
    """
    return np.bincount(np.unique(np.stack([labels, groups]), axis=1)[0], minlength=classes)


def shares(right: np.ndarray, total: np.ndarray, independent: np.ndarray) -> tuple[Interval, ...]:
    """The share right / total of each class with its Wilson interval; nan where total is 0.

    Args:
        right: int (k,).
        total: int (k,), photos.
        independent: int (k,), independent units among them.
    """
    rows = zip(right.tolist(), total.tolist(), independent.tolist(), strict=True)
    return tuple(_at(own, count, units) for own, count, units in rows)


def balanced_accuracy_interval(confusion: np.ndarray, independent: np.ndarray | None = None) -> Interval:
    """Balanced accuracy of a confusion matrix int (k, k) with a 95 % interval.

    The limits of the classes' Wilson intervals are combined in quadrature around the mean recall.

    Args:
        confusion: counts of photos.
        independent: (k,), independent units of each class, not always whole; None: each photo is one.

    Source: the method of variance estimates recovery for a sum of independent estimates, Zou and Donner
    2008, Statistics in Medicine 27(10); with Wilson limits after Newcombe 2001.
    """
    counts = confusion.sum(axis=1)
    units = counts if independent is None else independent
    known = [_at(confusion[c, c], int(counts[c]), float(units[c])) for c in np.flatnonzero(counts)]
    if not known:
        return wilson(0, 0)
    middle = sum(i.value for i in known) / len(known)
    below = math.sqrt(sum((i.value - i.low) ** 2 for i in known)) / len(known)
    above = math.sqrt(sum((i.high - i.value) ** 2 for i in known)) / len(known)
    return Interval(middle, max(0.0, middle - below), min(1.0, middle + above))
